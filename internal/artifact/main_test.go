package artifact_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain lowers how often a law is tried: those of soundness are tried for each
// of some eighty harms, in both directions, which makes five thousand pairs.
// `-rapid.checks` asks for more.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("30"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}
