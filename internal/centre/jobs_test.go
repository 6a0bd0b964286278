package centre

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/projection"
	"vitrine.example/internal/rebuild/rebuildtest"
	"vitrine.example/internal/release"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/statement"
)

// killEnv makes a process that serves a node kill itself where its journal has
// this line.
const killEnv = "VITRINE_TEST_KILL_AT"

// serveLog is the journal of a process that serves a node; nil: the usual one.
func serveLog() *slog.Logger {
	if at := os.Getenv(killEnv); at != "" {
		return slog.New(&killer{at: at})
	}
	return nil
}

// killer is a journal that kills.
type killer struct {
	at   string
	dead atomic.Bool
}

func (k *killer) Enabled(context.Context, slog.Level) bool { return true }
func (k *killer) WithAttrs([]slog.Attr) slog.Handler       { return k }
func (k *killer) WithGroup(string) slog.Handler            { return k }

func (k *killer) Handle(_ context.Context, r slog.Record) error {
	if r.Message == k.at && k.dead.CompareAndSwap(false, true) {
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			return err
		}
		select {}
	}
	return nil
}

// texts publishes releases whose artifact is made of their source, or is not.
type texts struct {
	t        testing.TB
	registry string
	n        int
}

func newTexts(t testing.TB) *texts {
	x := &texts{t: t, registry: t.TempDir()}
	goproxy, err := rebuildtest.Write(t.TempDir(), x.registry, "")
	check(t, err)
	t.Setenv("GOPROXY", goproxy) // of this process and of those that it starts
	return x
}

// publish publishes a source with a text, and as the artifact what is given.
func (x *texts) publish(h *Handle, text, artifact string) *release.Published {
	x.t.Helper()
	x.n++
	src, path := filepath.Join(x.t.TempDir(), "src"), filepath.Join(x.t.TempDir(), rebuildtest.Artifact)
	_, err := rebuildtest.Write(src, x.registry, text)
	check(x.t, err)
	check(x.t, os.WriteFile(path, []byte(artifact+"\n"), 0o600))
	p, err := h.Publisher(nil)
	check(x.t, err)
	done, err := p.Publish(within(x.t), release.Request{
		Product: "pkg:generic/text", Version: fmt.Sprint(x.n), Artifacts: []string{path}, Source: src, Access: content.Public,
	})
	check(x.t, err)
	return done
}

// rebuilder makes a node that rebuilds its own releases, with a database.
func rebuilder(t *testing.T, url string) string {
	t.Helper()
	dir := newNode(t, InitOptions{})
	more := "rebuild = [\"log.example.org\"]\n"
	if strings.HasPrefix(url, "postgres") {
		more += "database = " + tomlString(url) + "\n"
	}
	configure(t, dir, more)
	return dir
}

// settled waits until so many rebuilds are published, and returns all.
func settled(t *testing.T, h *Handle, want int) []farm.Row {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		all, err := h.Jobs(within(t), 0)
		check(t, err)
		said := 0
		for _, r := range all.Jobs {
			if r.State == farm.Said {
				said++
			}
		}
		if said == want && len(all.Jobs) == want {
			return all.Jobs
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d rebuilds are published, want %d: %+v", said, len(all.Jobs), want, all.Jobs)
		}
	}
}

// spoken counts the statements of a kind in the own log, by the release that
// they are about.
func spoken(t *testing.T, n *Node, kind string) map[digest.Digest]int {
	t.Helper()
	out := map[digest.Digest]int{}
	_, err := n.follow(within(t), nil)
	check(t, err)
	for from := int64(0); ; from += projection.MaxRows {
		list, err := n.projection.Entries(within(t), from, from+projection.MaxRows)
		check(t, err)
		if len(list) == 0 {
			return out
		}
		for _, e := range list {
			if e.PredicateType != kind {
				continue
			}
			raw, _, err := n.content.ReadAll(within(t), e.Envelope, statement.MaxSize)
			check(t, err)
			env, err := statement.Parse(raw)
			check(t, err)
			if kind == statement.RebuildType {
				p, err := env.Statement().Rebuild()
				check(t, err)
				out[p.Release]++
				continue
			}
			p, err := env.Statement().Provenance()
			check(t, err)
			out[*p.BuildDefinition.ExternalParameters.Release]++
		}
	}
}

// TestKilledRebuilds: a node that is killed with SIGKILL at any step of a rebuild
// says of each release exactly once what came of it, and once by which provenance
// that was made. The database is then lost, and nothing is said again.
func TestKilledRebuilds(t *testing.T) {
	storetest.URLs(t, func(t *testing.T, url string) {
		dir := rebuilder(t, url)
		x := newTexts(t)
		h := connect(t, dir)
		var all []*release.Published
		steps := []string{
			"ordered a rebuild", "building", "built", "signed a rebuild", "logged a rebuild", "logged a provenance", "published a rebuild",
			"logged a statement",
		}
		for i, step := range steps {
			text := fmt.Sprintf("text %d", i)
			all = append(all, x.publish(h, text, strings.ToUpper(text)))
			check(t, h.Close(within(t)))
			t.Setenv(killEnv, step)
			t.Logf("killing at %q", step)
			p := startProcess(t, dir)
			end := time.AfterFunc(time.Minute, func() { _ = p.cmd.Process.Signal(syscall.SIGABRT) })
			if err := p.cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Fatalf("%s: %v, want killed", step, err)
			}
			end.Stop()
			h = connect(t, dir)
		}
		check(t, h.Close(within(t)))
		t.Setenv(killEnv, "")
		p := startProcess(t, dir)
		h = connect(t, dir)
		for _, r := range settled(t, h, len(steps)) {
			if r.Outcome != statement.Identical {
				t.Errorf("%+v", r)
			}
		}
		check(t, p.end(t, syscall.SIGTERM))
		onceEach(t, dir, all)
	})
}

// onceEach counts what is said in the log of a node that is not served.
func onceEach(t *testing.T, dir string, all []*release.Published) {
	t.Helper()
	n, err := Open(within(t), dir, quiet())
	check(t, err)
	for _, kind := range []string{statement.RebuildType, statement.ProvenanceType} {
		got := spoken(t, n, kind)
		for _, p := range all {
			if d := p.Envelope.Digest(); got[d] != 1 {
				t.Errorf("%s about %s: %d times, want once", kind, d, got[d])
			}
		}
		if len(got) != len(all) {
			t.Errorf("%s about %d releases, want %d", kind, len(got), len(all))
		}
	}
	check(t, n.Close(within(t)))
}

// TestRebuildsAfterALostDatabase: what was said stands in the log, and a node that
// makes its database again from it says nothing twice.
func TestRebuildsAfterALostDatabase(t *testing.T) {
	dir := rebuilder(t, "")
	x := newTexts(t)
	_, stop := serve(t, dir)
	h := connect(t, dir)
	all := []*release.Published{x.publish(h, "one", "ONE"), x.publish(h, "two", "TWO"), x.publish(h, "three", "THREEE")}
	settled(t, h, 3)
	alerts := func(h *Handle) (out []string) {
		s, err := h.Status(within(t))
		check(t, err)
		for i := range s.Alerts {
			out = append(out, AlertText(&s.Alerts[i]))
		}
		return out
	}
	var want []string
	for end := time.Now().Add(time.Minute); len(want) == 0; time.Sleep(100 * time.Millisecond) {
		if want = alerts(h); time.Now().After(end) {
			t.Fatal("no alert")
		}
	}
	if !strings.HasPrefix(want[0], "pkg:generic/text 3: the last 2 releases were identical, and this one is different: capitals.txt: ") {
		t.Errorf("alert %q", want[0])
	}
	check(t, h.Close(within(t)))
	stop()
	for _, name := range []string{"vitrine.db", "vitrine.db-wal", "vitrine.db-shm"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	_, stop = serve(t, dir)
	h = connect(t, dir)
	four := x.publish(h, "four", "FOUR")
	settled(t, h, 1) // the new one alone
	if got := alerts(h); len(got) != 1 || got[0] != want[0] {
		t.Errorf("alerts %q, want %q", got, want)
	}
	check(t, h.Close(within(t)))
	stop()
	onceEach(t, dir, append(all, four))
}
