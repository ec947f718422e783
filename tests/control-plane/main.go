// Command control-plane is a Kubernetes control plane for tests and demos in
// one file: etcd and kube-apiserver in one process, a few controllers in a
// second, and kubectl as a subcommand, so that nothing else need be installed.
//
// Everything listens on the loopback interface, on ports the kernel picks, and
// lives in one directory. A control plane ends with whoever started it.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

const usage = `usage:
  control-plane serve --dir DIR    run etcd, kube-apiserver and the controllers
  control-plane kubectl ARGS...    run kubectl (also when called by that name)
`

func main() {
	os.Exit(dispatch(os.Args))
}

// dispatch runs the subcommand and returns the process's exit code.
func dispatch(arguments []string) int {
	if filepath.Base(arguments[0]) == "kubectl" {
		return runKubectl(arguments[1:])
	}
	if len(arguments) < 2 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	rest := arguments[2:]
	switch arguments[1] {
	case "serve":
		return runServe(rest)
	case controllerManagerSubcommand:
		return runControllerManager(rest)
	case "kubectl":
		return runKubectl(rest)
	default:
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
}
