package main

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
)

// runAPIServer serves on the listener until the context ends or it fails. The
// listener is opened by the caller: a port that is chosen, closed and opened
// again could be taken by a neighbour in between.
func runAPIServer(ctx context.Context, listener net.Listener, made *credentials, server string) error {
	serverOptions := options.NewServerRunOptions()
	serverOptions.SecureServing.Listener = listener
	serverOptions.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, set := range serverOptions.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(apiServerFlags(made, server)); err != nil {
		return fmt.Errorf("kube-apiserver's flags: %w", err)
	}
	if err := serverOptions.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return fmt.Errorf("kube-apiserver's features: %w", err)
	}
	logs.InitLogs()
	if err := logsapi.ValidateAndApply(serverOptions.Logs, utilfeature.DefaultFeatureGate); err != nil {
		return fmt.Errorf("kube-apiserver's logging: %w", err)
	}
	// The server's clients of itself warn of every deprecated API they watch.
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	completed, err := serverOptions.Complete(ctx)
	if err != nil {
		return fmt.Errorf("complete kube-apiserver's options: %w", err)
	}
	if errs := completed.Validate(); len(errs) != 0 {
		return fmt.Errorf("kube-apiserver's options: %w", utilerrors.NewAggregate(errs))
	}
	return app.Run(ctx, completed)
}

// apiServerFlags are those of a cluster with RBAC and ServiceAccount tokens,
// less what needs a node.
func apiServerFlags(made *credentials, server string) []string {
	return []string{
		"--etcd-servers=" + etcdClientURL,
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--tls-cert-file=" + made.servingCert,
		"--tls-private-key-file=" + made.servingKey,
		"--authorization-mode=RBAC",
		"--token-auth-file=" + made.tokenFile,
		"--service-account-issuer=" + server,
		"--service-account-key-file=" + made.serviceAccountKey,
		"--service-account-signing-key-file=" + made.serviceAccountKey,
		// Pods never run here; the plugin would hold them back for a token.
		"--disable-admission-plugins=ServiceAccount",
		"--service-cluster-ip-range=10.0.0.0/24",
		// Endpoints refuse a loopback address, and nobody asks for the service "kubernetes".
		"--endpoint-reconciler-type=none",
	}
}
