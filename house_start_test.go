package vitrine_test

import (
	"slices"
	"strings"
	"testing"
)

// heavy are packages that do so much before main begins that a cold
// `vitrine verify` feels it (bench/README.md), each with what it does.
var heavy = map[string]string{
	"encoding/gob":               "compiles encoders for its own types",
	"expvar":                     "registers handlers and formats the command line",
	"github.com/prometheus/":     "reads /proc and lists what the runtime measures",
	"google.golang.org/protobuf": "reads the program's own file and fills tables of descriptors",
	"runtime/metrics":            "lists and copies what the runtime measures",
}

// TestVerifyStartsQuickly keeps such packages out of the one binary: its every
// package is initialised for every command.
func TestVerifyStartsQuickly(t *testing.T) {
	all := list(t, "-deps", "./cmd/vitrine")
	if !slices.ContainsFunc(all, func(p listed) bool { return p.ImportPath == "runtime" }) {
		t.Fatal("go list does not show what the binary is made of")
	}
	for _, p := range all {
		for prefix, why := range heavy {
			if p.ImportPath != prefix && !strings.HasPrefix(p.ImportPath, strings.TrimSuffix(prefix, "/")+"/") {
				continue
			}
			var by []string
			for _, q := range all {
				if slices.Contains(q.Imports, p.ImportPath) {
					by = append(by, q.ImportPath)
				}
			}
			t.Errorf("the binary holds %s, which at each start %s; it is imported by %s", p.ImportPath, why, strings.Join(by, ", "))
		}
	}
}
