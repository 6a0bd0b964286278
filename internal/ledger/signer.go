package ledger

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"vitrine.example/tlog"
)

// signer stands between Tessera and the keys. It keeps the reason where a key
// refuses, which Tessera would only write to its log; it never signs a tree
// that is smaller than one signed before, or another of the same size; and it
// signs nothing once the log is closed.
type signer struct {
	first  note.Signer
	others []note.Signer
	now    func() (time.Time, error)
	signed func() // called after each attempt

	mu     sync.Mutex
	size   int64
	root   tlog.Hash
	text   string // last one signed
	at     time.Time
	err    error // of the last attempt
	closed bool
	never  error // why nothing is signed any more
}

func newSigner(o Options, signed func()) *signer {
	return &signer{first: o.Signer, others: o.Additional, now: o.Now, signed: signed}
}

// all returns the signers to give to Tessera. It asks the first one first.
func (s *signer) all() (note.Signer, []note.Signer) {
	var others []note.Signer
	for i, o := range s.others {
		others = append(others, guarded{o, s, i == len(s.others)-1})
	}
	return guarded{s.first, s, len(s.others) == 0}, others
}

// guarded is one key of a signer.
type guarded struct {
	note.Signer
	s    *signer
	last bool // of those that sign a checkpoint
}

// Sign implements note.Signer.
func (g guarded) Sign(text []byte) ([]byte, error) {
	defer g.s.signed()
	if err := g.s.admit(string(text)); err != nil {
		return nil, g.s.refused(err)
	}
	sig, err := g.Signer.Sign(text)
	if err != nil {
		return nil, g.s.refused(fmt.Errorf("signing a checkpoint with %s: %w", g.Name(), err))
	}
	if g.last {
		_ = g.s.refused(nil)
	}
	return sig, nil
}

// refused keeps why the last attempt failed, or that it did not, and returns it.
func (s *signer) refused(err error) error {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	return err
}

// admit asks the clock, and refuses a tree that contradicts what was signed
// before.
func (s *signer) admit(text string) error {
	size, root, err := treeOf(text)
	if err != nil {
		return err
	}
	if _, err := s.now(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.never != nil:
		return s.never
	case size < s.size:
		return fmt.Errorf("%w: it has %d entries, and a checkpoint of %d was signed", ErrDamaged, size, s.size)
	case size == s.size && size > 0 && root != s.root:
		return fmt.Errorf("%w: a checkpoint of %d entries with another root was signed", ErrDamaged, size)
	}
	s.size, s.root, s.text, s.at = size, root, text, time.Now()
	return nil
}

// forbid ends all signing.
func (s *signer) forbid(err error) {
	s.mu.Lock()
	s.never, s.err = err, err
	s.mu.Unlock()
}

// remember sets what was signed before this process began.
func (s *signer) remember(size int64, root tlog.Hash) {
	s.mu.Lock()
	s.size, s.root = size, root
	s.mu.Unlock()
}

// treeOf reads size and root of an unsigned checkpoint, which Tessera made.
func treeOf(text string) (int64, tlog.Hash, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return 0, tlog.Hash{}, fmt.Errorf("asked to sign what is no checkpoint of this log: %q", text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return 0, tlog.Hash{}, fmt.Errorf("asked to sign a size that is no number: %w", err)
	}
	root, err := parseHash(lines[2])
	return size, root, err
}

// refusal returns why the last attempt to sign failed, or nil.
func (s *signer) refusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// last returns the text that was signed last in this process, and when.
func (s *signer) last() (string, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text, s.at
}

func (s *signer) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
}

// verifierOf returns the public half of a signer.
func verifierOf(s note.Signer) (tlog.Verifier, error) {
	v, ok := s.(interface{ Verifier() tlog.Verifier })
	if !ok {
		return tlog.Verifier{}, errors.New("opening the log: the signer does not tell its verifier key: use a tlog.Signer")
	}
	return v.Verifier(), nil
}
