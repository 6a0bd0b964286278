package centre

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

// olderCopy copies a node's directory as `cp -r` does.
func olderCopy(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	check(t, os.CopyFS(to, os.DirFS(dir)))
	check(t, chmodKeys(to))
	return to
}

// wantStale opens a node that is older than what was seen at where, and makes
// sure that it signs nothing, says why and where, and what to do, over restarts.
func wantStale(t *testing.T, dir, where string) {
	t.Helper()
	for range 2 {
		h := connect(t, dir)
		size, err := h.Status(within(t))
		check(t, err)
		_, err = h.Submit(within(t), sign(t, h, "9.9").Bytes())
		if !errors.Is(err, ErrHold) || !strings.Contains(fmt.Sprint(err), where) || !strings.Contains(fmt.Sprint(err), "vitrine log restore") {
			t.Errorf("a stale node: %v; want that %s has seen more, and what to do", err, where)
		}
		after, err := h.Status(within(t))
		check(t, err)
		if after.Ledger.Sequenced != size.Ledger.Sequenced {
			t.Errorf("the stale log grew from %d to %d", size.Ledger.Sequenced, after.Ledger.Sequenced)
		}
		check(t, h.Close(within(t)))
	}
	if f := finding(Doctor(within(t), dir), "hold"); f.OK || !strings.Contains(f.Detail, where) {
		t.Errorf("doctor: %+v", f)
	}
}

// TestStaleAtItsWitness: a node that was set back asks the witness of its policy
// before it takes an entry. The witness is another node.
func TestStaleAtItsWitness(t *testing.T) {
	eachEngine(t, func(t *testing.T, w string) {
		addr, stop := serve(t, w)
		hw := connect(t, w)
		dir := newNode(t, InitOptions{URL: "https://vendor.example"})
		cfg, err := LoadConfig(dir)
		check(t, err)
		vs, err := logVerifiers(dir, cfg)
		check(t, err)
		addToWitness(t, hw, vs[0].Name(), vs[0])
		dir = witnessed(t, dir, fmt.Sprintf("witness w %s %s/witness\nquorum w\n", nodeWitnessKeys(t, hw)[0], addr))
		h := connect(t, dir)
		publish(t, h, "1.0", "first")
		check(t, h.Close(within(t)))
		wantCosignedKept(t, dir, nodeWitnessKeys(t, hw)[0])
		old, older := olderCopy(t, dir), olderCopy(t, dir)
		h = connect(t, dir) // one that is the newest goes on
		publish(t, h, "1.1", "second")
		check(t, h.Close(within(t)))
		where := fmt.Sprintf("%s/witness/%x/checkpoint", addr, witness.OriginHash(vs[0].Name()))
		wantStale(t, old, where)

		// Where nobody answers, nothing is known: the log takes no entry, although
		// a mirror that is stale itself has said that all is well.
		mirror := olderCopy(t, older)
		check(t, hw.Close(within(t)))
		stop()
		for _, version := range []string{"9.0", "9.1"} {
			h := connect(t, older)
			wantTakesNone(t, h, version)
			check(t, h.Close(within(t)))
			check(t, holdNode(older, "restored"))
			_, err := ResumeLog(within(t), older, []string{filepath.Join(mirror, logDir)}, false)
			check(t, err)
		}
	})
}

// wantTakesNone submits to a node that nobody confirms as the newest.
func wantTakesNone(t *testing.T, h *Handle, version string) {
	t.Helper()
	before, err := h.Status(within(t))
	check(t, err)
	_, err = h.Submit(within(t), sign(t, h, version).Bytes())
	if !errors.Is(err, ledger.ErrUnconfirmed) {
		t.Errorf("nobody has confirmed that it is the newest: %v", err)
	}
	s, err := h.Status(within(t))
	check(t, err)
	if s.Ledger.Sequenced != before.Ledger.Sequenced || s.Ledger.Unconfirmed == "" {
		t.Errorf("ledger %+v, before %+v", s.Ledger, before.Ledger)
	}
}

// TestStaleInItsCircle: the mirrors and witnesses of the circle's members are
// asked as well. One that lies is no reason to stop, and one that shows another
// history is.
func TestStaleInItsCircle(t *testing.T) {
	answers := map[string]func(http.ResponseWriter, *http.Request){}
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for suffix, f := range answers {
			if strings.HasPrefix(r.URL.Path, suffix) && strings.HasSuffix(r.URL.Path, "/checkpoint") {
				f(w, r)
				return
			}
		}
		http.NotFound(w, r)
	}))
	defer peer.Close()
	give := func(b []byte) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }
	}
	dir := newNode(t, InitOptions{URL: "https://vendor.example"})
	h := connect(t, dir)
	c := firstList(t, h, stranger(t, peer.URL))
	_, _, err := h.Say(within(t), c.Subjects(), c)
	check(t, err)
	check(t, h.Close(within(t)))
	old, alone := olderCopy(t, dir), olderCopy(t, dir)
	h = connect(t, dir)
	publish(t, h, "1.1", "second")
	publish(t, h, "1.2", "third")
	check(t, h.Close(within(t)))
	newest, err := os.ReadFile(filepath.Join(dir, logDir, "checkpoint"))
	check(t, err)

	// Lies: a flood, a checkpoint of a stranger, one with a broken signature.
	broken := append([]byte{}, newest...)
	broken[len(broken)-10] ^= 1
	other := newNode(t, InitOptions{URL: "https://other.example"})
	foreign, err := os.ReadFile(filepath.Join(other, logDir, "checkpoint"))
	check(t, err)
	for name, f := range map[string]func(http.ResponseWriter, *http.Request){
		"broken": give(broken), "foreign": give(foreign), "garbage": give([]byte("x")),
		"error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"flood": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, endless{}) },
	} {
		answers["/mirror/"], answers["/witness/"] = f, f
		h := connect(t, alone)
		if _, err := h.Submit(within(t), sign(t, h, "2."+fmt.Sprint(len(name))+name).Bytes()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		check(t, h.Close(within(t)))
	}

	answers["/mirror/"], answers["/witness/"] = give(newest), give(foreign)
	wantStale(t, old, peer.URL+"/mirror/")

	// What was signed meanwhile, alone, contradicts what the mirror has seen.
	n, err := Open(within(t), alone, quiet())
	check(t, err)
	if err := n.fresh(within(t)); !errors.Is(err, ErrHold) || !strings.Contains(err.Error(), ledger.ErrFork.Error()) {
		t.Errorf("a second history: %v", err)
	}
	check(t, n.Close(within(t)))
}

// endless gives bytes for ever.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// wantCosignedKept: a backup and an archive have the checkpoint that was cosigned,
// and a restored log goes on showing that.
func wantCosignedKept(t *testing.T, dir string, w tlog.Verifier) {
	t.Helper()
	shown, err := os.ReadFile(filepath.Join(dir, logDir, "cosigned"))
	check(t, err)
	place := t.TempDir()
	file, archive := filepath.Join(place, "node.backup"), filepath.Join(place, "log.zip")
	_, err = Backup(within(t), dir, file, BackupOptions{Keys: true})
	check(t, err)
	got, err := os.ReadFile(filepath.Join(restored(t, file, ""), logDir, "cosigned"))
	if err != nil || string(got) != string(shown) {
		t.Errorf("restored %q, %v, want %q", got, err, shown)
	}
	_, err = ExportLog(within(t), dir, archive, ExportOptions{})
	check(t, err)
	cfg, err := LoadConfig(dir)
	check(t, err)
	vs, err := logVerifiers(dir, cfg)
	check(t, err)
	p, err := tlog.ParsePolicy(fmt.Appendf(nil, "witness w %s\nquorum w\n", w))
	check(t, err)
	if r, err := VerifyArchive(within(t), archive, vs[0], p, nil); err != nil || len(r.Cosigned) != 1 {
		t.Errorf("an archive of a cosigned log: %+v, %v", r, err)
	}
}
