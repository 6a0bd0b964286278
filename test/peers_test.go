package test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"filippo.io/torchwood"
	"github.com/transparency-dev/formats/log"
	formatsproof "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/test/peer"
	"vitrine.example/tlog"
)

const (
	peerTessera = "github.com/transparency-dev/tessera"
	peerVersion = "v1.0.4"
	peerOrigin  = "peers.example"
)

// peerLog is a log of ours, served over HTTP, for others to judge.
type peerLog struct {
	dir string
	*ledger.Ledger
	url string // with a slash at the end
	key tlog.Verifier
}

func newPeerLog(t *testing.T) *peerLog {
	t.Helper()
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := tlog.NewSigner(peerOrigin, tlog.Ed25519, priv, nil)
	if err != nil {
		t.Fatal(err)
	}
	db, dir := storetest.Open(t, storetest.SQLite(t)), filepath.Join(t.TempDir(), "log")
	l, err := ledger.Open(t.Context(), ledger.Options{Dir: dir, DB: db, Signer: s})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", l.Handler())
	mux.Handle("/add", l.AddHandler())
	srv := httptest.NewServer(mux)
	t.Cleanup(func() {
		srv.Close()
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
		r, err := ledger.Check(context.Background(), dir, s.Verifier(), db, nil)
		if err != nil || len(r.Faults) > 0 || r.Entries != r.Size {
			t.Errorf("our own check says %+v, %v", r, err)
		}
	})
	return &peerLog{dir, l, srv.URL + "/", s.Verifier()}
}

// peerRun runs a program of Tessera and returns what it wrote.
func peerRun(t *testing.T, pkg string, args ...string) string {
	t.Helper()
	program, err := peer.Build(t.Context(), peerTessera+pkg, peerVersion)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", pkg, args, err, out)
	}
	return string(out)
}

func (l *peerLog) fsck(t *testing.T) {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(l.key.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	peerRun(t, "/cmd/fsck", "--storage_url="+l.url, "--public_key="+key, "--ui=false", "--N=2")
}

// Tessera's load generator writes to our log and reads it back, and is content;
// then Tessera's checker finds the whole log sound.
func TestTesseraHammersAndChecksOurLog(t *testing.T) {
	l := newPeerLog(t)
	peerRun(t, "/internal/hammer", "--log_url="+l.url, "--log_public_key="+l.key.String(), "--show_ui=false",
		"--num_writers=256", "--max_write_ops=2000", "--leaf_write_goal=2500", "--max_runtime=3m",
		"--num_readers_random=4", "--num_readers_full=2", "--max_read_ops=100", "--leaf_min_size=300", "--dup_chance=0.2")
	st, err := l.Status(t.Context())
	if err != nil || st.Published < 2500 {
		t.Fatalf("status %+v, %v", st, err)
	}
	l.fsck(t)
}

// Proofs of ours are good to two verifiers that share nothing with us, and bad
// for any other entry.
func TestOthersVerifyOurProofs(t *testing.T) {
	const n = 700
	l := newPeerLog(t)
	leaves := make([][]byte, n) // by index
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			leaf := fmt.Appendf(nil, "entry number %d", i)
			e, err := l.Add(t.Context(), leaf)
			if err != nil {
				t.Error(err)
				return
			}
			leaves[e.Index] = leaf
		})
	}
	wg.Wait()
	policy := torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(peerOrigin), torchwood.SingleVerifierPolicy(l.key.NoteVerifier()))
	for i := range 100 {
		index := int64(i * 7)
		raw := fetchProof(t, l.url, index)
		if err := torchwood.VerifyProof(policy, tlog.LeafHash(leaves[index]), raw); err != nil {
			t.Errorf("torchwood: proof of %d: %v", index, err)
		}
		if err := formatsVerify(raw, l.key, leaves[index]); err != nil {
			t.Errorf("formats and merkle: proof of %d: %v", index, err)
		}
		other := leaves[(index+1)%n]
		if torchwood.VerifyProof(policy, tlog.LeafHash(other), raw) == nil || formatsVerify(raw, l.key, other) == nil {
			t.Errorf("the proof of %d is good for another entry", index)
		}
	}
	l.fsck(t)
}

func fetchProof(t *testing.T, url string, index int64) []byte {
	t.Helper()
	resp, err := http.Get(fmt.Sprintf("%sproof/%d", url, index))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read below
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("proof of %d: %s %s, %v", index, resp.Status, b, err)
	}
	return b
}

// formatsVerify verifies a proof with transparency-dev's formats and merkle.
func formatsVerify(raw []byte, key tlog.Verifier, leaf []byte) error {
	var p formatsproof.TLogProof
	if err := p.Unmarshal(raw); err != nil {
		return err
	}
	cp, _, _, err := log.ParseCheckpoint(p.Checkpoint, peerOrigin, key.NoteVerifier())
	if err != nil {
		return err
	}
	hashes := make([][]byte, 0, len(p.Hashes))
	for _, h := range p.Hashes {
		hashes = append(hashes, h[:])
	}
	h := rfc6962.DefaultHasher
	return proof.VerifyInclusion(h, p.Index, cp.Size, h.HashLeaf(leaf), hashes, cp.Hash)
}
