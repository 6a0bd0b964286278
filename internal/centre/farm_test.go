package centre

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine.example/digest"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/store/storetest"
)

func TestFarmKeysOfTheConfiguration(t *testing.T) {
	id := digest.Of([]byte("a key")).String()
	other := digest.Of([]byte("another")).String()
	for text, want := range map[string]string{
		`farm-listen = "8444"`:                                           "line 3: farm-listen: ",
		`farm-workers = ["` + id + `"]`:                                  "line 3: farm-workers: ",
		`farm-workers = ["=` + id + `"]`:                                 "is not name=keyid",
		`farm-workers = ["a b=` + id + `"]`:                              "is not name=keyid",
		`farm-workers = ["a=` + id[1:] + `"]`:                            "the ID of the worker's key",
		`farm-workers = ["a=` + id + `", "a=` + other + `"]`:             "stands twice",
		`farm-workers = ["a=` + id + `", "b=` + id + `"]`:                "a and b have the same key",
		`farm-lease = "1ms"`:                                             "line 3: farm-lease: ",
		`farm-database = "farm.db"`:                                      "line 3: farm-database: want a URL",
		`farm-database = "postgres://"`:                                  "line 3: farm-database: ",
		`farm-workers = ["w` + strings.Repeat("w", 64) + `=` + id + `"]`: "1 to 64",
	} {
		if _, err := parseConfig([]byte(least + text + "\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	c, err := parseConfig([]byte(least + `farm-workers = ["a=` + id + `", "b=` + other + `"]` + "\n"))
	check(t, err)
	if f := (farming{workers: c.workers}); f.worker(digest.Of([]byte("another"))) != "b" || f.worker(digest.Digest{}) != "" {
		t.Errorf("workers %v", c.workers)
	}
}

// Two nodes share a queue, and a worker that one of them knows takes what the
// other asked for; a worker that neither knows gets nothing.
func TestNodesShareAQueue(t *testing.T) {
	db := storetest.Postgres(t)
	me, err := farm.OpenIdentity(filepath.Join(t.TempDir(), "worker.pem"))
	check(t, err)
	at := freeAddr(t)
	more := "farm-database = \"" + db + "\"\n"
	asker := newNode(t, InitOptions{})
	configure(t, asker, more)
	server := newNode(t, InitOptions{})
	configure(t, server, more+"farm-listen = \""+at+"\"\nfarm-workers = [\"w="+me.ID().String()+"\"]\n")
	a, err := Open(within(t), asker, quiet())
	check(t, err)
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	serveNode(t, server)
	order := farm.Ask{Node: "asia.example", Origin: "vendor.example", Product: "pkg:generic/app", Version: "1", Order: rebuild.Order{
		Release: digest.Of([]byte("release")), Recipe: digest.Of([]byte("recipe")),
		Shipped: []rebuild.Shipped{{Name: "app", SHA256: digest.Of([]byte("app")), Size: 3}},
		Task:    rebuild.Task{Limits: recipe.DefaultLimits(), Job: &recipe.Job{Kind: recipe.JobKind, Outputs: []string{"/out"}}},
	}}
	id, _, err := a.Queue().Add(t.Context(), order)
	check(t, err)
	node, err := farm.ReadIdentity(filepath.Join(server, farmKeyFile))
	check(t, err)
	if fi, err := os.Stat(filepath.Join(server, farmKeyFile)); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", fi.Mode(), err)
	}
	nodes := []farm.Endpoint{{URL: "https://" + at, Key: node.ID()}}
	stranger, err := farm.OpenIdentity(filepath.Join(t.TempDir(), "stranger.pem"))
	check(t, err)
	c, err := farm.NewClient(stranger, nodes)
	check(t, err)
	if h, err := c.Take(t.Context(), "w"); err == nil {
		t.Errorf("a stranger took %+v", h)
	}
	if c, err = farm.NewClient(me, nodes); err != nil {
		t.Fatal(err)
	}
	h, err := c.Take(t.Context(), "")
	if err != nil || h == nil || h.ID != id {
		t.Fatalf("took %+v, %v", h, err)
	}
	rows, err := a.Queue().List(t.Context(), 0, nil, 10)
	if err != nil || len(rows) != 1 || rows[0].Worker != "w" || rows[0].State != farm.Leased {
		t.Errorf("rows %+v, %v", rows, err)
	}
}

// doctor says what a worker is to be started with.
func TestDoctorShowsTheFarmKey(t *testing.T) {
	dir := newNode(t, InitOptions{})
	configure(t, dir, "farm-listen = \"127.0.0.1:0\"\n")
	said := func() string {
		var all []string
		for _, f := range Doctor(t.Context(), dir) {
			if f.Check == "farm" {
				all = append(all, f.Detail)
			}
		}
		return strings.Join(all, "\n")
	}
	if s := said(); !strings.Contains(s, "is made when the node is served") {
		t.Errorf("before: %q", s)
	}
	me, err := farm.OpenIdentity(filepath.Join(dir, farmKeyFile))
	check(t, err)
	if s := said(); !strings.Contains(s, "#sha256:"+me.ID().String()) {
		t.Errorf("after: %q", s)
	}
	check(t, os.WriteFile(filepath.Join(dir, farmKeyFile), []byte("no key"), 0o600))
	if s := said(); !strings.Contains(s, farmKeyFile) {
		t.Errorf("with a broken key: %q", s)
	}
}
