package mirror_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine.example/internal/mirror"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

// child, when set, makes this program a mirror instead of a test: in the
// directory that it names.
const child = "VITRINE_MIRROR_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(child); dir != "" {
		fmt.Fprintln(os.Stderr, serveForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func serveForEver(dir string) error {
	ctx := context.Background()
	db, err := store.Open(ctx, filepath.Join(dir, "db"))
	if err != nil {
		return err
	}
	p, err := witness.NewPending(witness.Options{DB: db, Log: quiet, Limits: witness.Limits{PerSecond: 1e6, Burst: 1e6}})
	if err != nil {
		return err
	}
	m, err := mirror.New(ctx, mirror.Options{Dir: filepath.Join(dir, "mirrors"), DB: db, Pending: p, Log: quiet,
		Signers: []*tlog.Signer{signer(&testing.B{}, mirrorName, tlog.Ed25519Cosignature)}})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return (&http.Server{Handler: m.Handler(), ReadHeaderTimeout: time.Minute}).Serve(l)
}

// A mirror is killed in the middle of uploads. What it has signed is there
// afterwards, to the last byte, and it goes on from where it was.
func TestKill(t *testing.T) {
	const kills = 25
	rng := rand.New(rand.NewPCG(3, 4))
	dir := t.TempDir()
	l := newLog(t, "log.example")
	db := storetest.Open(t, filepath.Join(dir, "db"))
	m, _ := open(t, db, filepath.Join(dir, "mirrors"), mirror.Limits{})
	add(t, m, l)
	signed, longest := int64(0), 120 // milliseconds
	for range kills {
		l.grow(1+rng.IntN(6000), "entry")
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), child+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		addr, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Duration(rng.IntN(longest))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		p := pusher(l, "http://"+strings.TrimSpace(addr), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, t)
		for p.Push(t.Context()) == nil {
			l.grow(1+rng.IntN(600), "entry")
		}
		_ = cmd.Wait()
		signed = max(signed, p.Progress()[0].Size)
		if signed == 0 {
			longest *= 2 // a slow machine
		}
		m, _ = open(t, db, filepath.Join(dir, "mirrors"), mirror.Limits{})
		s, err := m.Get(t.Context(), l.signer.Name())
		if err != nil || s.Problem != "" || s.Size < signed || s.Next < s.Size {
			t.Fatalf("after a kill: %+v, %d were signed, %v", s, signed, err)
		}
		if err := m.Check(t.Context(), l.signer.Name()); err != nil {
			t.Fatal(err)
		}
	}
	if signed == 0 {
		t.Error("no kill came after a signature")
	}
	url := serve(t, m)
	if err := pusher(l, url, http.DefaultClient, t).Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	sound(t, m, url, l)
}
