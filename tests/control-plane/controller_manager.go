package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

const controllerManagerSubcommand = "controller-manager"

// controllers are those without which a bare API server behaves unlike a
// cluster: namespaces would never go, owned objects would stay, namespaces
// would have no default ServiceAccount and aggregated roles would stay empty.
var controllers = []string{
	"namespace-controller",
	"garbage-collector-controller",
	"serviceaccount-controller",
	"clusterrole-aggregation-controller",
}

// runControllerManager is the whole second process. kube-apiserver and
// kube-controller-manager register metrics and features in process-wide
// tables, so they cannot share one process.
func runControllerManager(arguments []string) int {
	command := app.NewControllerManagerCommand()
	command.SetArgs(arguments)
	return cli.Run(command)
}

// startControllerManager starts this program again as the controller manager.
// The caller must keep the calling thread: the kernel ends the child when the
// thread that started it ends.
func startControllerManager(ctx context.Context, dir, kubeconfig string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	log, err := os.Create(filepath.Join(dir, "controller-manager.log"))
	if err != nil {
		return nil, fmt.Errorf("create the controller manager's log: %w", err)
	}
	defer log.Close()
	command := exec.CommandContext(ctx, self, controllerManagerSubcommand,
		"--kubeconfig="+kubeconfig,
		"--controllers="+strings.Join(controllers, ","),
		"--leader-elect=false",
		"--secure-port=0",
		"--kube-api-qps=300",
		"--kube-api-burst=600",
	)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start the controller manager: %w", err)
	}
	return command, nil
}
