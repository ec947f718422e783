// Command supervisor ties a program to whoever started it: the program ends
// when the supervisor's standard input ends, which happens however the parent
// dies, by Ctrl-C, a panic or SIGKILL.
//
// On standard input it takes signals to deliver, one a line: a name (TERM, INT,
// QUIT, HUP, STOP, CONT, KILL) and a word that the report of its delivery
// repeats. The last three reach every descendant, because a server that is a
// family of processes does not stop when its head does. On standard output it
// reports events, one JSON object a line. Delivering here rather than by number
// from afar never hits a process that took over the id.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"
)

const usage = `usage:
  supervisor run [--log FILE] [--uid N --gid N] [--stop SIGNAL] [--grace DURATION] -- PROGRAM ARGS...
  supervisor remove DIR    remove DIR once standard input ends and nothing works in it
`

func main() {
	// A child's parent-death signal is bound to the thread that started it.
	runtime.LockOSThread()
	os.Exit(dispatch(os.Args[1:]))
}

// dispatch runs the subcommand and returns the process's exit code.
func dispatch(arguments []string) int {
	if len(arguments) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	var err error
	switch {
	case arguments[0] == "run":
		err = parseAndRun(arguments[1:])
	case arguments[0] == "remove" && len(arguments) == 2:
		err = removeAfterwards(arguments[1])
	default:
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "supervisor:", err)
		return 1
	}
	return 0
}

func parseAndRun(arguments []string) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	options := options{}
	flags.StringVar(&options.log, "log", "", "file that gets the program's output, appended")
	flags.UintVar(&options.uid, "uid", 0, "user to run the program as; 0: this one")
	flags.UintVar(&options.gid, "gid", 0, "group to run the program as")
	flags.StringVar(&options.stop, "stop", "TERM", "signal that asks the program to end")
	flags.DurationVar(&options.grace, "grace", 10*time.Second, "time between that signal and SIGKILL")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	options.command = flags.Args()
	if len(options.command) == 0 {
		return fmt.Errorf("no program given\n%s", usage)
	}
	return run(options)
}
