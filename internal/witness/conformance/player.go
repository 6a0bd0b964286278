package conformance

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"maps"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/tlog"
)

// tree holds the stored hashes of a log.
type tree []tlog.Hash

// ReadHashes implements xtlog.HashReader.
func (t tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x >= int64(len(t)) {
			return nil, fmt.Errorf("stored hash %d is not there", x)
		}
		out[i] = t[x]
	}
	return out, nil
}

// history is a log's content. Two histories of a log are the same but for the
// entries that are marked.
type history struct {
	marks map[int64]int
	size  int64 // that t reaches
	t     tree
}

// reach makes t reach a size.
func (h *history) reach(size int64) error {
	for ; h.size < size; h.size++ {
		stored, err := xtlog.StoredHashes(h.size, h.entry(h.size), h.t)
		if err != nil {
			return err
		}
		h.t = append(h.t, stored...)
	}
	return nil
}

func (h *history) entry(i int64) []byte { return fmt.Appendf(nil, "entry %d, mark %d", i, h.marks[i]) }

func (h *history) root(size int64) (tlog.Hash, error) {
	if size == 0 {
		return tlog.EmptyRoot(), nil
	}
	if err := h.reach(size); err != nil {
		return tlog.Hash{}, err
	}
	return xtlog.TreeHash(size, h.t)
}

func (h *history) prove(from, to int64) ([]tlog.Hash, error) {
	if from == 0 || from == to {
		return nil, nil
	}
	if err := h.reach(to); err != nil {
		return nil, err
	}
	return xtlog.ProveTree(to, from, h.t)
}

// player is one log and what the witness should know of it.
type player struct {
	origin  string
	signers []*tlog.Signer
	key     ed25519.PrivateKey // of the first
	main    *history
	size    int64 // that was cosigned last
	never   bool  // nothing was cosigned yet
	last    *tlog.SignedCheckpoint
}

func newPlayer(seed, name string) (*player, error) {
	p := &player{origin: origin(seed, name), key: privateKey(seed, name, 0), main: &history{}, never: true}
	keys := 1
	if name == keysLog {
		keys = 2
	}
	for i := range keys {
		s, err := tlog.NewSigner(p.origin, tlog.Ed25519, privateKey(seed, name, i), nil)
		if err != nil {
			return nil, err
		}
		p.signers = append(p.signers, s)
	}
	return p, nil
}

// checkpoint makes one of a history, unsigned.
func (p *player) checkpoint(h *history, size int64) (tlog.Checkpoint, error) {
	root, err := h.root(size)
	return tlog.Checkpoint{Origin: p.origin, Size: size, Root: root}, err
}

// sign signs by the log's first key.
func (p *player) sign(c tlog.Checkpoint) (*tlog.SignedCheckpoint, error) {
	return signWith(c, p.signers[0])
}

// rawSign signs by the log's first key what package tlog would not.
func (p *player) rawSign(text []byte) tlog.Signature {
	v := p.signers[0].Verifier()
	return tlog.Signature{Name: v.Name(), KeyID: v.KeyID(), Bytes: ed25519.Sign(p.key, text)}
}

func signWith(c tlog.Checkpoint, signers ...*tlog.Signer) (*tlog.SignedCheckpoint, error) {
	out := &tlog.SignedCheckpoint{Checkpoint: c}
	for _, s := range signers {
		sig, err := s.SignCheckpoint(c)
		if err != nil {
			return nil, err
		}
		out.Signatures = append(out.Signatures, sig)
	}
	return out, nil
}

// request makes a good request from one size to another.
func (p *player) request(h *history, from, to int64) (*tlog.AddCheckpoint, error) {
	c, err := p.checkpoint(h, to)
	if err != nil {
		return nil, err
	}
	proof, err := h.prove(from, to)
	if err != nil {
		return nil, err
	}
	s, err := p.sign(c)
	return &tlog.AddCheckpoint{Old: from, Proof: proof, Checkpoint: s}, err
}

// next makes a good request that grows the log by n entries.
func (p *player) next(n int64) (*tlog.AddCheckpoint, error) {
	return p.request(p.main, p.size, p.size+n)
}

// fork returns another history: that with another entry in one place.
func (p *player) fork(at int64, mark int) *history {
	marks := maps.Clone(p.main.marks)
	if marks == nil {
		marks = map[int64]int{}
	}
	marks[at] = mark
	return &history{marks: marks}
}

// originHash is the name of the log in the monitoring prefix.
func (p *player) originHash() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(p.origin))) }
