// Package mirror keeps copies of other organisations' logs, and pushes the own
// log to their mirrors (C2SP tlog-mirror).
//
// [New] opens a mirror on a directory and a database, [Mirror.Add] tells it of a
// log, [Mirror.Handler] serves add-checkpoint, add-entries and the copies
// themselves. [Mirror.Log] reads a copy. [Pusher] is the other side.
//
// The mirror's cosignature says: these entries lie here, durably, and anyone can
// read them. No entry is written that was not proven to be a part of a
// checkpoint that the log has signed and that is consistent with all before; no
// checkpoint is signed before its entries are on the disk. DESIGN.md beside this
// file has the order of writes, and why.
package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// Errors that callers tell apart.
var (
	ErrUnknown = errors.New("no such log in the mirror")
	ErrDamaged = errors.New("the copy is damaged")
	ErrFull    = errors.New("no room in the mirror")
)

// Pending keeps pending checkpoints, as a witness would (package witness,
// Pending).
type Pending interface {
	AddLog(ctx context.Context, origin string, keys []tlog.Verifier, note string) error
	ServeAdd(http.ResponseWriter, *http.Request)
	// Newest and Earlier return nil where there is none.
	Newest(ctx context.Context, origin string) (*tlog.SignedCheckpoint, error)
	Earlier(ctx context.Context, origin string, size int64) (*tlog.SignedCheckpoint, error)
}

// Limits bound what others can ask for. Zero values become the defaults.
type Limits struct {
	Concurrent int           // uploads worked on at once; default 16
	PerLog     int           // of these for one log; default 4
	Package    time.Duration // to receive one entry package; default 30 s
	Request    time.Duration // to receive a request; default 15 min
	Idle       time.Duration // without a package, after which an upload gives its place to another; default 5 s
	Excess     int64         // entries sent again at most; default 8,192
	LogBytes   int64         // bytes of entries of one log; default 256 GiB
	TotalBytes int64         // of all; default 1 TiB
	Logs       int           // default 1,000
}

func (l *Limits) complete() {
	for _, d := range []struct {
		at    *int64
		value int64
	}{{&l.Excess, 8192}, {&l.LogBytes, 256 << 30}, {&l.TotalBytes, 1 << 40}} {
		if *d.at <= 0 {
			*d.at = d.value
		}
	}
	for _, d := range []struct {
		at    *int
		value int
	}{{&l.Concurrent, 16}, {&l.PerLog, 4}, {&l.Logs, 1000}} {
		if *d.at <= 0 {
			*d.at = d.value
		}
	}
	if l.Package <= 0 {
		l.Package = 30 * time.Second
	}
	if l.Request <= 0 {
		l.Request = 15 * time.Minute
	}
	if l.Idle <= 0 {
		l.Idle = 5 * time.Second
	}
}

// Options say where the mirror is and who signs.
type Options struct {
	Dir     string // a directory for each log is made in it
	DB      *store.DB
	Pending Pending
	// Signers are the mirror's keys: of type Ed25519Cosignature or
	// MLDSA44Cosignature, with a clock. Never those of a witness.
	Signers []*tlog.Signer
	Limits  Limits
	Log     *slog.Logger     // default slog.Default()
	Now     func() time.Time // for notes, not for cosignatures; default time.Now
}

func (o *Options) complete() error {
	if o.Dir == "" || o.DB == nil || o.Pending == nil {
		return errors.New("a mirror needs a directory, a database and pending checkpoints")
	}
	if len(o.Signers) == 0 {
		return errors.New("a mirror needs a key")
	}
	for _, s := range o.Signers {
		if t := s.Verifier().Type(); t != tlog.Ed25519Cosignature && t != tlog.MLDSA44Cosignature {
			return fmt.Errorf("key %s makes no cosignatures: %s", s.Name(), t)
		}
	}
	o.Limits.complete()
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Mirror is safe for use by several goroutines. One process at a time may have
// its directory.
type Mirror struct {
	o      Options
	secret []byte
	places *places

	mu     sync.Mutex
	copies map[[sha256.Size]byte]*logCopy
}

// New opens a mirror and looks at the right edge of each copy: one that does not
// have the root of its checkpoint is kept, but neither grows nor is signed.
func New(ctx context.Context, o Options) (*Mirror, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("opening the mirror: %w", err)
	}
	m := &Mirror{o: o, places: newPlaces(o.Limits.Concurrent, o.Limits.Idle), copies: map[[sha256.Size]byte]*logCopy{}}
	if err := m.load(ctx); err != nil {
		return nil, fmt.Errorf("opening the mirror: %w", err)
	}
	for _, c := range m.copies {
		if err := c.checkEdge(); err != nil {
			c.damage(err)
			o.Log.Error("a mirrored log is damaged; `vitrine mirror check` says more", "origin", c.origin, "err", err)
		}
	}
	return m, nil
}

// OriginHash is the name of a log in the monitoring prefix, and its directory.
func OriginHash(origin string) string {
	h := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(h[:])
}

// Verifiers returns the mirror's verifier keys.
func (m *Mirror) Verifiers() (out []tlog.Verifier) {
	for _, s := range m.o.Signers {
		out = append(out, s.Verifier())
	}
	return out
}

// Add tells the mirror of a log. One that is known with the same keys stays as
// it is.
func (m *Mirror) Add(ctx context.Context, origin string, keys []tlog.Verifier, note string) error {
	for _, k := range keys {
		for _, own := range m.Verifiers() {
			if k.SameKey(own) {
				return fmt.Errorf("adding a log to the mirror: key %s is the mirror's own", k.Name())
			}
		}
	}
	m.mu.Lock()
	n := len(m.copies)
	_, known := m.copies[sha256.Sum256([]byte(origin))]
	m.mu.Unlock()
	if !known && n >= m.o.Limits.Logs {
		return fmt.Errorf("adding a log to the mirror: %w: %d logs are kept", ErrFull, n)
	}
	if err := m.o.Pending.AddLog(ctx, origin, keys, note); err != nil {
		return fmt.Errorf("adding a log to the mirror: %w", err)
	}
	if err := m.insert(ctx, origin); err != nil {
		return fmt.Errorf("adding a log to the mirror: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	h := sha256.Sum256([]byte(origin))
	if m.copies[h] == nil {
		m.copies[h] = m.newCopy(origin)
		m.o.Log.Info("log added to the mirror", "origin", origin)
	}
	return nil
}

func (m *Mirror) newCopy(origin string) *logCopy {
	return &logCopy{m: m, origin: origin, hash: sha256.Sum256([]byte(origin)),
		dir: filepath.Join(m.o.Dir, OriginHash(origin)), places: newPlaces(m.o.Limits.PerLog, m.o.Limits.Idle)}
}

// find returns a copy, or nil.
func (m *Mirror) find(hash [sha256.Size]byte) *logCopy {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.copies[hash]
}

func (m *Mirror) byOrigin(origin string) (*logCopy, error) {
	if c := m.find(sha256.Sum256([]byte(origin))); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("%.80q: %w", origin, ErrUnknown)
}

// totalBytes is what all copies hold.
func (m *Mirror) totalBytes() (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.copies {
		n += c.at().bytes
	}
	return n
}
