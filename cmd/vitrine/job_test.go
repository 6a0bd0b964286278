package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"vitrine.example/digest"
	"vitrine.example/internal/centre"
	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/rebuild/rebuildtest"
	"vitrine.example/internal/recipe"
	"vitrine.example/statement"
)

// sources DIR TEXT makes a source that is built again as capitals.txt, with the
// recipe in it; what it needs lies in registry/, which GOPROXY names.
func sources(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sources DIR TEXT")
	}
	goproxy, err := rebuildtest.Write(ts.MkAbs(args[0]), ts.MkAbs("registry"), args[1])
	ts.Check(err)
	ts.Setenv("GOPROXY", goproxy)
}

// exampleJob brings the node so far that an example about rebuilds can run: the
// release has been ordered, and for an acknowledgement there is an alert.
func exampleJob(t *testing.T, bin, dir, line string) {
	t.Helper()
	do := func(args ...string) string {
		out, err := runIn(dir, bin, args...)
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return out
	}
	if strings.Contains(line, "job ack") {
		exampleAlerts(t, dir)
		return
	}
	if _, err := rebuildtest.Write(filepath.Join(dir, "texts"), filepath.Join(dir, "registry"), "text"); err != nil {
		t.Fatal(err)
	}
	out := do("release", "publish", "--product", "pkg:generic/text@1", "--artifact", filepath.Join("texts", "text"), "--source", "texts", "--json", "node")
	at := strings.Index(out, `"statement": "`)
	if at < 0 {
		t.Fatalf("no statement in %s", out)
	}
	do("job", "again", "node", out[at+len(`"statement": "`):][:2*digest.Size])
}

// exampleAlerts has the node say of three releases that they were rebuilt, the
// last one not well.
func exampleAlerts(t *testing.T, dir string) {
	t.Helper()
	h, err := centre.Connect(t.Context(), filepath.Join(dir, "node"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := digest.Of([]byte("the bytes"))
	var releases []digest.Digest
	for _, version := range []string{"8", "9"} {
		r := &statement.Release{Product: "pkg:generic/app", Version: version, Published: at, Artifacts: []statement.Artifact{{Name: "app", Size: 9, SHA256: d}}}
		s, _, err := h.Say(t.Context(), r.Subjects(), r)
		if err != nil {
			t.Fatal(err)
		}
		releases = append(releases, s)
	}
	for i, outcome := range []statement.Outcome{statement.Identical, statement.Different} {
		o := rebuild.Order{Release: releases[i], Recipe: d, Shipped: []rebuild.Shipped{{Name: "app", SHA256: d, Size: 9}}}
		o.Task.Job = &recipe.Job{Kind: recipe.JobKind}
		res := rebuild.Result{Outcome: outcome, Artifacts: []statement.RebuiltArtifact{{Name: "app", Shipped: d, Outcome: outcome}}}
		made := d
		if outcome == statement.Different {
			made = digest.Of([]byte("other bytes"))
		}
		res.Artifacts[0].Rebuilt = &made
		p, err := res.Statement(&o, []rebuild.Said{{Outcome: outcome, Attempt: &rebuild.Attempt{Engine: "embedded", Started: at, Finished: at, Output: d}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, index, err := h.Say(t.Context(), p.Subjects(), p); err != nil || outcome == statement.Different && fmt.Sprint(index) != exampleAlert {
			t.Fatalf("said at %d, want %s: %v", index, exampleAlert, err)
		}
	}
}
