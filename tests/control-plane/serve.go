package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	readyTimeout        = 90 * time.Second
	readyAttemptTimeout = time.Second
	readyPollInterval   = 50 * time.Millisecond
)

// announcement is the one line printed on standard output once all is ready.
type announcement struct {
	Server     string `json:"server"`
	Kubeconfig string `json:"kubeconfig"`
	PID        int    `json:"pid"`
}

// runServe runs a control plane until it is told to end, by SIGINT, SIGTERM or
// the end of standard input: a parent that dies closes that, however it dies.
func runServe(arguments []string) int {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	dir := flags.String("dir", "", "directory that holds everything; created if absent")
	if err := flags.Parse(arguments); err != nil {
		return 2
	}
	if *dir == "" {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	// The kernel ends the controller manager with the thread that started it.
	runtime.LockOSThread()
	ctx, end := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer end()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		end()
	}()
	if err := serve(ctx, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "control-plane:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, dir string) error {
	dir, err := enter(dir)
	if err != nil {
		return err
	}
	etcd, err := startEtcd()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for kube-apiserver: %w", err)
	}
	server := "https://" + listener.Addr().String()
	made, err := newCredentials(dir, server)
	if err != nil {
		return err
	}
	ended := make(chan error, 2)
	// The API server is not given ctx: it would drain for many seconds, while
	// the whole process is about to go.
	go func() { ended <- runAPIServer(context.Background(), listener, made, server) }()
	go func() { ended <- fmt.Errorf("etcd ended: %w", <-etcd.Err()) }()
	if err := awaitReady(ctx, made.kubeconfig, ended); err != nil {
		return err
	}
	manager, err := startControllerManager(ctx, dir, made.kubeconfig)
	if err != nil {
		return err
	}
	managerEnded := make(chan error, 1)
	go func() { managerEnded <- manager.Wait() }()
	line := announcement{Server: server, Kubeconfig: made.kubeconfig, PID: os.Getpid()}
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		return fmt.Errorf("announce the control plane: %w", err)
	}
	select {
	case <-ctx.Done():
		// The context killed the controller manager; nothing may outlive this.
		<-managerEnded
		return nil
	case err := <-managerEnded:
		return fmt.Errorf("the controller manager ended: %v", err)
	case err := <-ended:
		return err
	}
}

// enter makes the directory, private to this user because it will hold keys,
// and works in it from then on. It returns its absolute path.
func enter(dir string) (string, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(absolute, 0o700); err != nil {
		return "", err
	}
	return absolute, os.Chdir(absolute)
}

// awaitReady polls /readyz as the administrator.
func awaitReady(ctx context.Context, kubeconfig string, ended <-chan error) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	client.Timeout = readyAttemptTimeout
	timeout := time.After(readyTimeout)
	for {
		err := askReady(client, config.Host)
		if err == nil {
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the control plane ended while starting: %w", err)
		case <-ctx.Done():
			return errors.New("told to end before being ready")
		case <-timeout:
			return fmt.Errorf("kube-apiserver was not ready within %s: %w", readyTimeout, err)
		case <-time.After(readyPollInterval):
		}
	}
}

func askReady(client *http.Client, server string) error {
	response, err := client.Get(server + "/readyz")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz answered %s", response.Status)
	}
	return nil
}
