package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"vitrine.example/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Enter() // the engines start the own binary again
	testscript.Main(m, map[string]func(){"vitrine": main})
}

// TestScripts runs the promises of the command line: each file in
// testdata/script bears the name of the promise that it keeps.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, "XDG_CONFIG_HOME="+filepath.Join(e.WorkDir, "config"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":        exits,
			"flip":         flip,
			"cut":          cut,
			"snapshot":     snapshot,
			"unchanged":    unchanged,
			"world":        world,
			"node":         node,
			"edit":         edit,
			"await":        await,
			"eventually":   eventually,
			"substdout":    substdout,
			"forkevidence": writeForkEvidence,
			"sources":      sources,
			"makerecipe":   makerecipe,
			"rebuilt":      rebuilt,
		},
	})
}

// eventuallyWithin is how long something that nodes do by themselves may take.
const eventuallyWithin = 30 * time.Second

// eventually COMMAND… runs a command until it succeeds.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: eventually COMMAND…")
	}
	for end := time.Now().Add(eventuallyWithin); ; time.Sleep(100 * time.Millisecond) {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%v did not come true: %v", args, err)
		}
	}
}

// exits N COMMAND… runs a command and checks its exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		got = e.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s exits %d, want %d", strings.Join(args[1:], " "), got, want)
	}
	stderr := ts.ReadFile("stderr")
	if strings.Contains(stderr, "goroutine ") || strings.Contains(stderr, "panic:") {
		ts.Fatalf("%s panicked", args[1])
	}
	if want != 0 && args[1] == "vitrine" && strings.Count(stderr, "vitrine: error: ") != 1 {
		ts.Fatalf("want one error line on stderr")
	}
}

// flip FILE [OFFSET] changes one bit, in the middle where no offset is given.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	at := len(b) / 2
	if len(args) > 1 {
		at, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	b[at] ^= 1
	ts.Check(os.WriteFile(path, b, 0o644))
}

// cut FILE N leaves the first N bytes of a file.
func cut(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), n))
}

// edit FILE OLD NEW replaces text that must stand there once.
func edit(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	if n := bytes.Count(b, []byte(args[1])); n != 1 {
		ts.Fatalf("%q stands %d times in %s", args[1], n, args[0])
	}
	ts.Check(os.WriteFile(path, bytes.Replace(b, []byte(args[1]), []byte(args[2]), 1), 0o644))
}

// snapshot DIR remembers what is in a directory; unchanged DIR compares.
func snapshot(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv("SNAPSHOT_"+args[0], tree(ts, args[0]))
}

func unchanged(ts *testscript.TestScript, _ bool, args []string) {
	if was, is := ts.Getenv("SNAPSHOT_"+args[0]), tree(ts, args[0]); was != is {
		ts.Fatalf("%s changed:\nwas:\n%s\nis:\n%s", args[0], was, is)
	}
}

func tree(ts *testscript.TestScript, dir string) string {
	var b strings.Builder
	root := ts.MkAbs(dir)
	ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		// testscript keeps its own files beside the script's.
		if rel == ".tmp" || rel == "tmp" || rel == "config" {
			return filepath.SkipDir
		}
		fmt.Fprint(&b, rel)
		if d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %x", sha256.Sum256(data))
		}
		b.WriteByte('\n')
		return nil
	}))
	return b.String()
}

// substdout OLD NEW FILE writes stdout of the last command into a file, with a
// piece of text replaced.
func substdout(ts *testscript.TestScript, _ bool, args []string) {
	out := ts.ReadFile("stdout")
	if !strings.Contains(out, args[0]) {
		ts.Fatalf("no %q in stdout", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.ReplaceAll(out, args[0], args[1])), 0o644))
}
