package centre

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	tessera "github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"

	"vitrine.example/internal/store/storetest"
	"vitrine.example/internal/witness"
	"vitrine.example/internal/witness/conformance"
	"vitrine.example/tlog"
)

// eachEngine runs a test with a node on SQLite and one on PostgreSQL.
func eachEngine(t *testing.T, f func(t *testing.T, dir string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, newNode(t, InitOptions{})) })
	t.Run("postgres", func(t *testing.T) {
		dir := newNode(t, InitOptions{})
		setConfig(t, dir, `#database = "vitrine.db"`, "database = "+tomlString(storetest.Postgres(t)))
		f(t, dir)
	})
}

func setConfig(t *testing.T, dir, old, line string) {
	t.Helper()
	path := filepath.Join(dir, ConfigFile)
	b, err := os.ReadFile(path)
	check(t, err)
	if !strings.Contains(string(b), old) {
		t.Fatalf("no %s in %s", old, path)
	}
	check(t, os.WriteFile(path, []byte(strings.Replace(string(b), old, line, 1)), 0o600))
}

func addToWitness(t *testing.T, h *Handle, origin string, keys ...tlog.Verifier) {
	t.Helper()
	l := WitnessLog{Origin: origin}
	for _, k := range keys {
		l.Keys = append(l.Keys, k.String())
	}
	_, err := h.Witness(within(t), WitnessCall{Do: "add", Log: l})
	check(t, err)
}

func nodeWitnessKeys(t *testing.T, h *Handle) (out []tlog.Verifier) {
	t.Helper()
	for _, k := range h.Info().Witness {
		v, err := tlog.ParseVerifier(k)
		check(t, err)
		out = append(out, v)
	}
	if len(out) != 2 {
		t.Fatalf("%d keys", len(out))
	}
	return out
}

// TestWitnessConformance: a served node passes every check, on both engines.
func TestWitnessConformance(t *testing.T) {
	eachEngine(t, func(t *testing.T, dir string) {
		addr, _ := serve(t, dir)
		h := connect(t, dir)
		seed := conformance.NewSeed()
		logs, err := conformance.Logs(seed)
		check(t, err)
		for _, l := range logs {
			addToWitness(t, h, l.Origin, l.Keys...)
		}
		r, err := conformance.Run(t.Context(), conformance.Target{URL: addr + "/witness/", Keys: nodeWitnessKeys(t, h), Seed: seed})
		check(t, err)
		for _, f := range r.Failed() {
			t.Errorf("%s (%s): %s: %s", f.ID, f.Level, f.Text, f.Detail)
		}
		if n := r.Count(conformance.Pass); n != len(r.Results) || n < 123 {
			t.Errorf("%d of %d passed", n, len(r.Results))
		}
		t.Logf("%d of %d passed", r.Count(conformance.Pass), len(r.Results))
	})
}

// plainLog is a log made by Tessera alone, which publishes nothing that the
// witnesses have not cosigned.
func plainLog(t *testing.T, name string, key ed25519.PrivateKey, dir, policy string) (func(string) error, tessera.LogReader, func()) {
	t.Helper()
	signer, err := tlog.NewSigner(name, tlog.Ed25519, key, nil)
	check(t, err)
	group, err := tessera.NewWitnessGroupFromPolicy([]byte(policy))
	check(t, err)
	driver, err := posix.New(t.Context(), posix.Config{Path: dir})
	check(t, err)
	a, shutdown, r, err := tessera.NewAppender(t.Context(), driver, tessera.NewAppendOptions().
		WithCheckpointSigner(note.Signer(signer)).
		WithCheckpointInterval(100*time.Millisecond).
		WithBatching(16, 20*time.Millisecond).
		WithWitnesses(group, &tessera.WitnessOptions{Timeout: 10 * time.Second}))
	check(t, err)
	await := tessera.NewPublicationAwaiter(t.Context(), r.ReadCheckpoint, 20*time.Millisecond)
	add := func(s string) error {
		_, _, err := await.Await(t.Context(), a.Add(t.Context(), tessera.NewEntry([]byte(s))))
		return err
	}
	return add, r, func() { check(t, shutdown(within(t))) }
}

// TestWitnessForTessera: a plain Tessera log is cosigned by a served node by
// Tessera's own means, and goes on when the node has been started again.
func TestWitnessForTessera(t *testing.T) {
	eachEngine(t, func(t *testing.T, dir string) {
		port := freeAddr(t)
		setConfig(t, dir, `listen = "127.0.0.1:0"`, "listen = "+tomlString(port))
		addr, stop := serve(t, dir)
		h := connect(t, dir)
		_, key, err := ed25519.GenerateKey(rand.Reader)
		check(t, err)
		v, err := tlog.NewVerifier("plain.example/log", tlog.Ed25519, key.Public())
		check(t, err)
		addToWitness(t, h, "plain.example/log", v)
		keys := nodeWitnessKeys(t, h)
		policy := fmt.Sprintf("witness w %s %s/witness/\nquorum w\n", keys[0], addr)
		add, r, shutdown := plainLog(t, "plain.example/log", key, t.TempDir(), policy)
		defer shutdown()
		for i := range 5 {
			check(t, add(fmt.Sprint("entry ", i)))
		}
		check(t, h.Close(within(t)))
		stop()
		_, stop = serve(t, dir)
		defer stop()
		for i := range 5 {
			check(t, add(fmt.Sprint("later ", i)))
		}
		raw, err := r.ReadCheckpoint(t.Context())
		check(t, err)
		c, err := tlog.ParseCheckpoint(raw)
		check(t, err)
		if c.Size != 10 {
			t.Errorf("published size %d", c.Size)
		}
		if at, err := keys[0].Verify(c); err != nil || time.Since(at) > time.Hour {
			t.Errorf("cosigned at %s, %v", at, err)
		}
		code, _, page := get(t, addr+"/witness")
		if code != 200 || !strings.Contains(page, "plain.example/log") {
			t.Errorf("page %d: %s", code, page)
		}
	})
}

// TestWitnessLostDatabase: a node made again from its log has a witness that
// cosigns nothing and says so everywhere, until it is recovered.
func TestWitnessLostDatabase(t *testing.T) {
	dir := newNode(t, InitOptions{})
	addr, stop := serve(t, dir)
	h := connect(t, dir)
	seed := conformance.NewSeed()
	logs, err := conformance.Logs(seed)
	check(t, err)
	for _, l := range logs {
		addToWitness(t, h, l.Origin, l.Keys...)
	}
	_, err = conformance.Run(t.Context(), conformance.Target{URL: addr + "/witness", Keys: nodeWitnessKeys(t, h), Seed: seed})
	check(t, err)
	main := logs[0].Origin
	_, _, newest := get(t, fmt.Sprintf("%s/witness/%x/checkpoint", addr, witness.OriginHash(main)))
	if _, err := h.Witness(within(t), WitnessCall{Do: "recover", Reason: "x"}); !errors.Is(err, witness.ErrNotLost) {
		t.Errorf("recovering what is whole: %v", err)
	}
	check(t, h.Close(within(t)))
	stop()
	for _, f := range []string{"vitrine.db", "vitrine.db-wal", "vitrine.db-shm"} {
		if err := os.Remove(filepath.Join(dir, f)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}

	addr, _ = serve(t, dir)
	h = connect(t, dir)
	if code, _, body := get(t, addr+"/readyz"); code != 503 || !strings.Contains(body, "witness") {
		t.Errorf("readyz: %d %s", code, body)
	}
	if _, _, body := get(t, addr+"/witness"); !strings.Contains(body, "lost its state") {
		t.Error("the page says nothing")
	}
	if s, err := h.Status(within(t)); err != nil || s.Witness == nil || s.Witness.Lost == "" {
		t.Errorf("status: %+v, %v", s, err)
	}
	if f := findingOf(t, dir, "witness"); f.OK || !strings.Contains(f.Remedy, "recover") {
		t.Errorf("doctor: %+v", f)
	}
	addToWitness(t, h, main, logs[0].Keys...)
	r, err := conformance.Run(t.Context(), conformance.Target{URL: addr + "/witness", Keys: nodeWitnessKeys(t, h), Seed: seed,
		Client: &http.Client{Transport: impatient{}}})
	if failed := r.Failed(); err != nil || len(failed) == 0 || failed[len(failed)-1].ID != conformance.First {
		t.Errorf("a log that was cosigned before: %v, %d failed", err, len(failed))
	}
	if _, err := h.Witness(within(t), WitnessCall{Do: "recover", Reason: "the disk died"}); err != nil {
		t.Fatal(err)
	}
	a, err := h.Witness(within(t), WitnessCall{Do: "adopt", Checkpoint: []byte(newest), Reason: "from a monitor"})
	check(t, err)
	if c, err := tlog.ParseCheckpoint([]byte(newest)); err != nil || a.Log.Size != c.Size || a.Log.Paused {
		t.Errorf("adopted: %+v, %v", a.Log, err)
	}
	if f := findingOf(t, dir, "witness"); !f.OK {
		t.Errorf("doctor after the recovery: %+v", f)
	}
}

func findingOf(t *testing.T, dir, check string) Finding {
	t.Helper()
	for _, f := range Doctor(within(t), dir) {
		if f.Check == check {
			return f
		}
	}
	t.Fatalf("doctor does not look at %s", check)
	return Finding{}
}

// impatient hides Retry-After, which a test need not wait for.
type impatient struct{}

func (impatient) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		res.Header.Del("Retry-After")
	}
	return res, err
}

// TestNoWitness: a node without the keys, as it was made before there were
// witnesses, is none; nothing else changes.
func TestNoWitness(t *testing.T) {
	dir := newNode(t, InitOptions{})
	setConfig(t, dir, `witness-key = "keys/witness.pem"`, "")
	setConfig(t, dir, `witness-mldsa-key = "keys/witness-mldsa.pem"`, "")
	check(t, os.Remove(filepath.Join(dir, witnessState)))
	addr, _ := serve(t, dir)
	h := connect(t, dir)
	for _, path := range []string{"/witness", "/witness/", "/witness/witness.v0.json"} {
		if code, _, _ := get(t, addr+path); code != 404 {
			t.Errorf("%s: %d", path, code)
		}
	}
	res, err := http.Post(addr+"/witness/add-checkpoint", "", strings.NewReader("old 0\n"))
	check(t, err)
	check(t, res.Body.Close())
	if res.StatusCode != 405 {
		t.Errorf("add-checkpoint: %d", res.StatusCode)
	}
	if _, err := h.Witness(within(t), WitnessCall{Do: "list"}); !errors.Is(err, ErrNoWitness) {
		t.Errorf("listing: %v", err)
	}
	if code, _, body := get(t, addr+"/node.json"); code != 200 || !strings.Contains(body, `"witness": []`) {
		t.Errorf("node.json %d: %s", code, body)
	}
	if code, _, body := get(t, addr+"/"); code != 200 || strings.Contains(body, "/witness") {
		t.Errorf("start page %d speaks of a witness", code)
	}
}

// TestWitnessCalls: commands reach the witness in this process and in another.
func TestWitnessCalls(t *testing.T) {
	dir := newNode(t, InitOptions{})
	play := func(h *Handle, origin string) {
		t.Helper()
		pub, _, err := ed25519.GenerateKey(rand.Reader)
		check(t, err)
		v, err := tlog.NewVerifier(origin, tlog.Ed25519, pub)
		check(t, err)
		addToWitness(t, h, origin, v)
		other, err := tlog.NewVerifier(origin+"x", tlog.Ed25519, pub)
		check(t, err)
		for _, c := range []struct {
			call WitnessCall
			want error
		}{
			{WitnessCall{Do: "add", Log: WitnessLog{Origin: origin, Keys: []string{other.String()}}}, witness.ErrDifferent},
			{WitnessCall{Do: "add", Log: WitnessLog{Origin: origin, Keys: []string{"x"}}}, ErrInvalid},
			{WitnessCall{Do: "show", Log: WitnessLog{Origin: "nobody.example"}}, witness.ErrUnknown},
			{WitnessCall{Do: "evidence", Log: WitnessLog{Origin: "nobody.example"}}, witness.ErrUnknown},
			{WitnessCall{Do: "dance"}, ErrInvalid},
			{WitnessCall{Do: "import", List: []byte("x")}, ErrInvalid},
			{WitnessCall{Do: "recover", Reason: "x"}, witness.ErrNotLost},
		} {
			if _, err := h.Witness(within(t), c.call); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.call.Do, err, c.want)
			}
		}
		a, err := h.Witness(within(t), WitnessCall{Do: "pause", Log: WitnessLog{Origin: origin}, Reason: "look"})
		if err != nil || !a.Log.Paused || a.Log.Reason != "look" {
			t.Errorf("paused: %+v, %v", a, err)
		}
		if _, err := h.Witness(within(t), WitnessCall{Do: "resume", Log: WitnessLog{Origin: origin}}); err == nil {
			t.Error("resumed without a reason")
		}
		if e, err := h.WitnessEvidence(within(t), origin); err != nil || len(e) != 0 {
			t.Errorf("evidence: %v, %v", e, err)
		}
	}
	p := startProcess(t, dir)
	h := connect(t, dir)
	play(h, "one.example")
	check(t, p.end(t, syscall.SIGTERM))
	play(h, "two.example")
	if all, err := h.WitnessLogs(within(t)); err != nil || len(all) != 2 || all[0].Origin != "one.example" {
		t.Errorf("listed %+v, %v", all, err)
	}
	var list strings.Builder
	list.WriteString("logs/v0\n")
	const many = 2*witnessListPage + 3
	for i := range many {
		pub, _, err := ed25519.GenerateKey(rand.Reader)
		check(t, err)
		v, err := tlog.NewVerifier(fmt.Sprintf("list.example/%04d", i), tlog.Ed25519, pub)
		check(t, err)
		fmt.Fprintf(&list, "vkey %s\nqpd 100\ncontact nobody\n", v)
	}
	for _, added := range []int{many, 0} {
		a, err := h.Witness(within(t), WitnessCall{Do: "import", List: []byte(list.String())})
		if err != nil || len(a.Import.Added) != added || a.Import.Known != many-added {
			t.Fatalf("imported: %v", err)
		}
	}
	if all, err := h.WitnessLogs(within(t)); err != nil || len(all) != many+2 {
		t.Errorf("listed %d, %v", len(all), err)
	}
	s, err := h.Status(within(t))
	if err != nil || s.Witness.Logs != many+2 || s.Witness.Held != 2 {
		t.Errorf("status: %+v, %v", s.Witness, err)
	}
	rec := httptest.NewRecorder()
	site, err := h.local().site()
	check(t, err)
	site.ServeHTTP(rec, httptest.NewRequestWithContext(context.Background(), "GET", "/witness?after=list.example/0990", nil))
	if rec.Code != 200 || !strings.Contains(rec.Body.String(), "list.example/0991") || strings.Contains(rec.Body.String(), "list.example/0990<") {
		t.Errorf("page after: %d", rec.Code)
	}
}
