package main

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"vitrine.example/internal/centre"
	"vitrine.example/internal/fixture"
	"vitrine.example/proof"
	"vitrine.example/statement"
)

// rebuilt DIR BUNDLE OUTCOME [DETAIL] has the node of DIR say, through its own
// door, what came of building the release of a bundle again.
func rebuilt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || len(args) > 4 {
		ts.Fatalf("usage: rebuilt DIR BUNDLE OUTCOME [DETAIL]")
	}
	b, err := proof.Parse([]byte(ts.ReadFile(args[1])))
	ts.Check(err)
	said := fixture.Said{Outcome: statement.Outcome(args[2])}
	if len(args) == 4 {
		said.Detail = args[3]
	}
	ctx := context.Background()
	h, err := centre.Connect(ctx, ts.MkAbs(args[0]), nil)
	ts.Check(err)
	p := said.Rebuilt(b.Statements[0].Envelope)
	_, _, err = h.Say(ctx, p.Subjects(), p)
	ts.Check(err)
	ts.Check(h.Close(ctx))
}

// fetchExample serves the node of an example and gives its URL.
func fetchExample(t *testing.T, dir string) []string {
	t.Helper()
	n, err := centre.Open(t.Context(), filepath.Join(dir, "node"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	up, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- n.Serve(ctx, func(a string) { up <- a }) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	select {
	case a := <-up:
		return []string{"NODE_URL=" + a}
	case err := <-done:
		done <- nil
		t.Fatal(err)
		return nil
	}
}
