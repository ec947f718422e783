package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

// runKubectl behaves as the program kubectl does: kubectl's library reads
// os.Args itself, for plugins and for the verbosity, so they are put in place.
func runKubectl(arguments []string) int {
	os.Args = append([]string{"kubectl"}, arguments...)
	// A verbosity that is no number is refused again, with a usage text, below.
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
	return 0
}
