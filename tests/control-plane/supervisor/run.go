package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options of one supervised program.
type options struct {
	log      string
	uid, gid uint
	stop     string
	grace    time.Duration
	command  []string
}

// event is one line on standard output: started, delivered or exited.
type event struct {
	Event  string `json:"event"`
	PID    int    `json:"pid,omitempty"`
	Order  string `json:"order,omitempty"`
	Code   int    `json:"code"`
	Signal string `json:"signal,omitempty"`
}

// order is one line on standard input: a signal's name and a word that comes
// back once it was delivered.
type order struct {
	signal syscall.Signal
	word   string
}

var signals = map[string]syscall.Signal{
	"TERM": syscall.SIGTERM,
	"INT":  syscall.SIGINT,
	"QUIT": syscall.SIGQUIT,
	"HUP":  syscall.SIGHUP,
	"STOP": syscall.SIGSTOP,
	"CONT": syscall.SIGCONT,
	"KILL": syscall.SIGKILL,
}

// run starts the program and stays until it has ended. That the program fails
// is an event, not an error of the supervisor.
func run(options options) error {
	stop, known := signals[options.stop]
	if !known {
		return fmt.Errorf("unknown signal %q", options.stop)
	}
	child, err := start(options)
	if err != nil {
		return err
	}
	report := json.NewEncoder(os.Stdout)
	// Nobody may be listening any more; the program is looked after all the same.
	_ = report.Encode(event{Event: "started", PID: child.Process.Pid})
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	orders := readOrders(os.Stdin)
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGINT, syscall.SIGTERM)
	for {
		select {
		case err := <-ended:
			_ = report.Encode(describe(child, err))
			return nil
		case order, open := <-orders:
			if open {
				deliver(child.Process.Pid, order.signal)
				_ = report.Encode(event{Event: "delivered", Order: order.word})
				continue
			}
			orders = nil
			go end(child.Process.Pid, stop, options.grace)
		case <-told:
			go end(child.Process.Pid, stop, options.grace)
		}
	}
}

func start(options options) (*exec.Cmd, error) {
	child := exec.Command(options.command[0], options.command[1:]...)
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if options.uid != 0 {
		child.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(options.uid), Gid: uint32(options.gid)}
	}
	if options.log != "" {
		log, err := os.OpenFile(options.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the log: %w", err)
		}
		defer log.Close()
		child.Stdout, child.Stderr = log, log
	}
	if err := child.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", options.command[0], err)
	}
	return child, nil
}

// readOrders yields the orders of the input and closes when that ends.
func readOrders(input io.Reader) <-chan order {
	orders := make(chan order)
	go func() {
		defer close(orders)
		lines := bufio.NewScanner(input)
		for lines.Scan() {
			name, word, _ := strings.Cut(lines.Text(), " ")
			if signal, known := signals[name]; known {
				orders <- order{signal: signal, word: word}
			} else {
				fmt.Fprintf(os.Stderr, "supervisor: unknown signal %q\n", name)
			}
		}
	}()
	return orders
}

// end asks the program to end, and after the grace makes it and its family end.
func end(pid int, stop syscall.Signal, grace time.Duration) {
	// A stopped program cannot hear the request.
	deliver(pid, syscall.SIGCONT)
	deliver(pid, stop)
	time.Sleep(grace)
	deliver(pid, syscall.SIGKILL)
}

// describe tells how the program ended.
func describe(child *exec.Cmd, err error) event {
	ended := event{Event: "exited", PID: child.Process.Pid, Code: child.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			ended.Signal = status.Signal().String()
		}
	}
	return ended
}
