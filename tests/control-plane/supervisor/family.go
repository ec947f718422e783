package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	removePollInterval = 50 * time.Millisecond
	// Longer than any supervised program's grace, after which it was killed.
	removePatience = 45 * time.Second
)

// deliver sends a signal to the program, and those that a program cannot
// answer for its family to the family too.
func deliver(pid int, signal syscall.Signal) {
	targets := []int{pid}
	switch signal {
	case syscall.SIGSTOP, syscall.SIGCONT, syscall.SIGKILL:
		targets = append(targets, descendants(pid)...)
	}
	for _, target := range targets {
		// It may have ended meanwhile, which is as good.
		_ = syscall.Kill(target, signal)
	}
}

// descendants finds the children of a process, their children and so on.
func descendants(pid int) []int {
	children := map[int][]int{}
	for _, entry := range processDirectories() {
		id, err := strconv.Atoi(filepath.Base(entry))
		if err != nil {
			continue
		}
		if parent, found := parentOf(entry); found {
			children[parent] = append(children[parent], id)
		}
	}
	var found []int
	for pending := children[pid]; len(pending) > 0; {
		found = append(found, pending...)
		var next []int
		for _, id := range pending {
			next = append(next, children[id]...)
		}
		pending = next
	}
	return found
}

// parentOf reads the fourth field of stat. The second is the program's name in
// parentheses, which may itself hold spaces and parentheses.
func parentOf(directory string) (int, bool) {
	stat, err := os.ReadFile(filepath.Join(directory, "stat"))
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 2 {
		return 0, false
	}
	parent, err := strconv.Atoi(fields[1])
	return parent, err == nil
}

func processDirectories() []string {
	// The pattern is well formed, and that is the only error there is.
	directories, _ := filepath.Glob("/proc/[0-9]*")
	return directories
}

// removeAfterwards waits for the end of standard input, then until no process
// works in the directory any more, and removes it.
func removeAfterwards(directory string) error {
	absolute, err := filepath.EvalSymlinks(directory)
	if err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	for range readOrders(os.Stdin) {
	}
	for deadline := time.Now().Add(removePatience); inUse(absolute); {
		if time.Now().After(deadline) {
			return fmt.Errorf("processes still work in %s: it stays", absolute)
		}
		time.Sleep(removePollInterval)
	}
	return os.RemoveAll(absolute)
}

// inUse tells whether a process has its working directory there.
func inUse(directory string) bool {
	for _, entry := range processDirectories() {
		at, err := os.Readlink(filepath.Join(entry, "cwd"))
		if err == nil && (at == directory || strings.HasPrefix(at, directory+"/")) {
			return true
		}
	}
	return false
}
