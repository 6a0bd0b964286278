//go:build linux

package test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vitrine.example/internal/centre"
	"vitrine.example/internal/release"
	"vitrine.example/tlog"
)

// releaseCrash is set in a child of this test program: where it is to die.
const releaseCrash = "VITRINE_TEST_RELEASE_CRASH"

var noLog = slog.New(slog.DiscardHandler)

// releaseNode makes a node and something to release on it.
func releaseNode(t *testing.T) (node string, r release.Request) {
	t.Helper()
	dir := t.TempDir()
	node = filepath.Join(dir, "node")
	err := centre.Init(t.Context(), node, centre.InitOptions{Name: "test", URL: "https://log.example.org", Listen: "127.0.0.1:0"})
	src := filepath.Join(dir, "src")
	err = errors.Join(err, os.Mkdir(src, 0o755),
		os.WriteFile(filepath.Join(src, "main.c"), []byte("int main;\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "tool"), make([]byte, 3<<20), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	return node, releaseRequest(dir)
}

func releaseRequest(dir string) release.Request {
	return release.Request{
		Product: "pkg:generic/tool", Version: "1", Channel: "stable",
		Artifacts: []string{filepath.Join(dir, "tool")}, Source: filepath.Join(dir, "src"),
	}
}

// releaseOn reaches the node and publishes.
func releaseOn(ctx context.Context, node string, r release.Request, prepare func(p *release.Publisher)) (out *release.Published, err error) {
	h, err := centre.Connect(ctx, node, noLog)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.Close(context.WithoutCancel(ctx))) }()
	p, err := h.Publisher(nil)
	if err != nil {
		return nil, err
	}
	if prepare != nil {
		prepare(p)
	}
	return p.Publish(ctx, r)
}

// dying submits, and dies before, a given time after the begin, or after it.
type dying struct {
	release.Submitter
	point string
}

func (d dying) Submit(ctx context.Context, envelope []byte) (release.Receipt, error) {
	die := func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }
	if d.point == "before" {
		die()
	}
	if in, err := time.ParseDuration(d.point); err == nil {
		time.AfterFunc(in, die)
	}
	r, err := d.Submitter.Submit(ctx, envelope)
	if err == nil {
		die()
	}
	return r, err
}

// TestReleaseChild is what the children of TestReleaseIsOneEntry run.
func TestReleaseChild(t *testing.T) {
	point, node, _ := strings.Cut(os.Getenv(releaseCrash), " ")
	if point == "" {
		return // not a child
	}
	_, err := releaseOn(t.Context(), node, releaseRequest(filepath.Dir(node)), func(p *release.Publisher) {
		p.Submit = dying{p.Submit, point}
		p.Progress = func(stage string, done, _ int64) {
			if stage == point && done > 0 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		}
	})
	t.Fatalf("still alive: %v", err)
}

// TestReleaseIsOneEntry kills a publishing process of a real node at many
// points: in the end the log holds one entry, and nothing is wrong with it.
func TestReleaseIsOneEntry(t *testing.T) {
	node, r := releaseNode(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	points := []string{release.StageArtifacts, release.StageSource, "before"}
	for ms := range 12 {
		points = append(points, fmt.Sprintf("%dms", ms*ms)) // while it is claimed, sequenced, published
	}
	for _, point := range append(points, "after") {
		cmd := exec.Command(self, "-test.run=^TestReleaseChild$", "-test.count=1")
		cmd.Env = append(os.Environ(), releaseCrash+"="+point+" "+node)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("child for %s: %v\n%s", point, err, out)
		}
	}
	first, err := releaseOn(t.Context(), node, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := releaseOn(t.Context(), node, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if first.Index != 0 || !first.Duplicate || again.Index != 0 || !again.Duplicate ||
		first.Envelope.Digest() != again.Envelope.Digest() || first.Release.Seq != 1 {
		t.Errorf("receipts %+v and %+v", first.Receipt, again.Receipt)
	}
	if _, err := tlog.ParseProof(again.Proof); err != nil {
		t.Errorf("proof: %v", err)
	}
	report, err := centre.CheckLog(t.Context(), node, nil)
	if err != nil || len(report.Faults) > 0 || report.Size != 1 {
		t.Errorf("log check: %+v, %v", report, err)
	}
}

// TestReleasesMeetOnAServedNode publishes by several processes' worth of
// handles at once while the node is served: one chain, no gaps, and a release
// under a taken name is refused with the reason.
func TestReleasesMeetOnAServedNode(t *testing.T) {
	node, r := releaseNode(t)
	n, err := centre.Open(t.Context(), node, noLog)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served, up := make(chan error, 1), make(chan struct{})
	go func() { served <- n.Serve(ctx, func(string) { close(up) }) }()
	select {
	case <-up:
	case err := <-served:
		t.Fatal(err)
	}
	const count = 4
	var wg sync.WaitGroup
	got := make([]*release.Published, count)
	for i := range got {
		r := r
		r.Version = fmt.Sprint(i)
		wg.Go(func() {
			var err error
			if got[i], err = releaseOn(t.Context(), node, r, nil); err != nil {
				t.Errorf("release %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if !t.Failed() {
		checkChain(t, got)
		r.Version, r.Source = "0", ""
		_, err := releaseOn(t.Context(), node, r, nil)
		want := fmt.Sprintf("statement %s, index %d", got[0].Envelope.Digest(), got[0].Index)
		if !errors.Is(err, release.ErrConflict) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
	stop()
	if err := errors.Join(<-served, n.Close(context.Background())); err != nil {
		t.Error(err)
	}
}

// checkChain looks for one chain from seq 1 to the number of releases.
func checkChain(t *testing.T, all []*release.Published) {
	t.Helper()
	bySeq := map[int64]*release.Published{}
	for _, p := range all {
		bySeq[p.Release.Seq] = p
	}
	for seq := int64(1); seq <= int64(len(all)); seq++ {
		p, before := bySeq[seq], bySeq[seq-1]
		if p == nil {
			t.Fatalf("seq %d is missing", seq)
		}
		if before != nil && (p.Release.Previous == nil || *p.Release.Previous != before.Envelope.Digest()) {
			t.Errorf("seq %d does not follow", seq)
		}
	}
}
