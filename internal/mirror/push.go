package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/tlog"
)

// Timing and size of pushing.
const (
	// MaxPacks is how many entry packages are sent at once: "clients SHOULD limit
	// each add-entries request to at most 32 entry packages".
	MaxPacks     = 32
	maxAnswer    = 128 << 10 // bytes of an answer: a ticket has 88 KiB at most
	maxConflicts = 8         // answers 409 in a row, before a later try
	pushTimeout  = 5 * time.Minute
	minBackoff   = time.Second
	maxBackoff   = 30 * time.Second // so that a mirror that comes back has all within a minute
)

// Source is a log as tlog-tiles serves it: Read returns "checkpoint", or a tile
// or entry bundle by its path.
type Source interface {
	Read(ctx context.Context, path string) ([]byte, error)
}

// Target is a mirror of another organisation.
type Target struct {
	Name string          // for people
	URL  string          // submission prefix
	Keys []tlog.Verifier // of the mirror; one of them has to sign
}

// Progress is how far a target is.
type Progress struct {
	Name     string    `json:"name"`
	URL      string    `json:"url"`
	Size     int64     `json:"size"` // that the mirror has cosigned
	Next     int64     `json:"next"`
	Lag      int64     `json:"lag"` // entries published here and not cosigned there
	Cosigned time.Time `json:"cosigned,omitzero"`
	Asked    time.Time `json:"asked,omitzero"`    // last; there is nothing to ask where nothing is new
	Problem  string    `json:"problem,omitempty"` // of the last try
}

// Pusher pushes one log to mirrors. Make it with [NewPusher].
type Pusher struct {
	source  Source
	client  *http.Client
	log     *slog.Logger
	targets []*target
}

type target struct {
	Target
	pushing sync.Mutex
	wake    chan struct{}

	mu     sync.Mutex
	p      Progress
	sigs   []tlog.Signature // cosignatures on the tree of p.Size
	old    int64            // pending size there, as far as known
	info   Info             // where to go on
	seeded bool
}

// NewPusher returns a pusher. client is used as it is: its transport decides
// where requests may go.
func NewPusher(source Source, client *http.Client, log *slog.Logger, targets ...Target) *Pusher {
	p := &Pusher{source: source, client: client, log: log}
	for _, t := range targets {
		t.URL = strings.TrimSuffix(t.URL, "/")
		p.targets = append(p.targets, &target{Target: t, wake: make(chan struct{}, 1), p: Progress{Name: t.Name, URL: t.URL}})
	}
	return p
}

// Progress returns how far each target is.
func (p *Pusher) Progress() (out []Progress) {
	for _, t := range p.targets {
		t.mu.Lock()
		out = append(out, t.p)
		t.mu.Unlock()
	}
	return out
}

// Wake says that there is something new.
func (p *Pusher) Wake() {
	for _, t := range p.targets {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// Run pushes to all targets until ctx is done: whenever it is woken, and every
// so often.
func (p *Pusher) Run(ctx context.Context, every time.Duration) {
	var wg sync.WaitGroup
	for _, t := range p.targets {
		wg.Go(func() { p.run(ctx, t, every) })
	}
	wg.Wait()
}

func (p *Pusher) run(ctx context.Context, t *target, every time.Duration) {
	backoff, said := minBackoff, ""
	for {
		wait, wake := every, t.wake
		err := p.push(ctx, t)
		if ctx.Err() != nil {
			return
		}
		said = p.say(t, err, said)
		if err != nil {
			wait = backoff/2 + rand.N(backoff) // else all would come again at once
			backoff, wake = min(2*backoff, maxBackoff), nil
		} else {
			backoff = minBackoff
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// say tells the journal how a push went, once and not at every try: said is what
// it was told last, and the answer what it knows now.
func (p *Pusher) say(t *target, err error, said string) string {
	switch {
	case err == nil && said != "":
		p.log.Info("a mirror is pushed to again", "mirror", t.Name, "url", t.URL)
	case err != nil && err.Error() != said:
		p.log.Warn("pushing to a mirror", "mirror", t.Name, "url", t.URL, "err", err)
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

// Push pushes once to all targets, one after the other.
func (p *Pusher) Push(ctx context.Context) error {
	var errs []error
	for _, t := range p.targets {
		if err := p.push(ctx, t); err != nil {
			errs = append(errs, fmt.Errorf("mirror %s: %w", t.Name, err))
		}
	}
	return errors.Join(errs...)
}

// push brings a target to the newest published checkpoint.
func (p *Pusher) push(ctx context.Context, t *target) error {
	t.pushing.Lock()
	defer t.pushing.Unlock()
	err := p.pushOnce(ctx, t)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p.Problem = ""
	if err != nil {
		t.p.Problem = err.Error()
	}
	return err
}

func (p *Pusher) pushOnce(ctx context.Context, t *target) error {
	v, err := p.view(ctx)
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.p.Lag = v.cp.Size - t.p.Size
	done := t.p.Size == v.cp.Size && t.sigs != nil
	t.mu.Unlock()
	if done {
		return nil
	}
	t.mu.Lock()
	t.p.Asked = time.Now().UTC()
	t.mu.Unlock()
	if err := p.addCheckpoint(ctx, t, v); err != nil {
		return err
	}
	if !t.seeded {
		t.info.Next, t.seeded = t.p.Size, true
	}
	t.info.Size, t.info.Ticket = v.cp.Size, nil
	for conflicts := 0; ; {
		was := t.info.Next
		cosigned, status, err := p.addEntries(ctx, t, v)
		switch {
		case err != nil:
			return err
		case cosigned && t.info.Size >= v.cp.Size:
			return nil
		case cosigned:
			t.info.Size, t.info.Ticket = v.cp.Size, nil
		case status == http.StatusConflict || t.info.Next <= was:
			if conflicts++; conflicts > maxConflicts {
				return errors.New("add-entries: the mirror moves on nothing that it asked for")
			}
		default:
			conflicts = 0
		}
	}
}

// view is the source at one checkpoint.
type view struct {
	p    *Pusher
	ctx  context.Context
	cp   *tlog.SignedCheckpoint
	read xtlog.HashReader
}

func (p *Pusher) view(ctx context.Context) (*view, error) {
	raw, err := p.source.Read(ctx, "checkpoint")
	if err != nil {
		return nil, fmt.Errorf("reading the own checkpoint: %w", err)
	}
	cp, err := tlog.ParseCheckpoint(raw)
	if err != nil {
		return nil, fmt.Errorf("reading the own checkpoint: %w", err)
	}
	v := &view{p: p, ctx: ctx, cp: cp}
	v.read = xtlog.TileHashReader(xtlog.Tree{N: cp.Size, Hash: cp.Root}, v)
	return v, nil
}

// Height implements xtlog.TileReader.
func (*view) Height() int { return 8 }

// ReadTiles implements xtlog.TileReader.
func (v *view) ReadTiles(want []xtlog.Tile) (out [][]byte, err error) {
	for _, w := range want {
		b, err := v.p.source.Read(v.ctx, tlog.Tile{Level: w.L, Index: w.N, Width: w.W}.Path())
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// SaveTiles implements xtlog.TileReader.
func (*view) SaveTiles([]xtlog.Tile, [][]byte) {}

// addCheckpoint makes the view's checkpoint the pending one, or finds that there
// is a newer one.
func (p *Pusher) addCheckpoint(ctx context.Context, t *target, v *view) error {
	for range maxConflicts {
		q := &tlog.AddCheckpoint{Old: t.old, Checkpoint: v.cp}
		if t.old > 0 && t.old < v.cp.Size {
			path, err := xtlog.ProveTree(v.cp.Size, t.old, v.read)
			if err != nil {
				return fmt.Errorf("add-checkpoint: proving size %d: %w", t.old, err)
			}
			q.Proof = path
		}
		a, err := p.post(ctx, t.URL+"/add-checkpoint", "text/plain; charset=utf-8", "", strings.NewReader(string(q.Marshal())))
		if err != nil {
			return fmt.Errorf("add-checkpoint: %w", err)
		}
		switch {
		case a.status == http.StatusOK:
			t.old = v.cp.Size
			return nil
		case a.status == http.StatusConflict && a.typ == tlog.SizeType:
			size, err := tlog.ParseSize(a.body)
			if err != nil {
				return fmt.Errorf("add-checkpoint: %w", err)
			}
			if size > v.cp.Size {
				return fmt.Errorf("add-checkpoint: the mirror has a checkpoint of %d entries, which is more than the %d published here", size, v.cp.Size)
			}
			t.old = size
		default:
			return fmt.Errorf("add-checkpoint: %w", a.err())
		}
	}
	return errors.New("add-checkpoint: the mirror's pending checkpoint changes with every try")
}

// addEntries sends up to MaxPacks packages and notes where to go on.
func (p *Pusher) addEntries(ctx context.Context, t *target, v *view) (cosigned bool, status int, err error) {
	if t.info.Size > v.cp.Size {
		return false, 0, fmt.Errorf("add-entries: the mirror asks for %d entries, which is more than the %d published here", t.info.Size, v.cp.Size)
	}
	h := head{origin: v.cp.Origin, start: min(t.info.Next, t.info.Size), end: t.info.Size, ticket: t.info.Ticket}
	r, w := io.Pipe()
	made := make(chan error, 1)
	go func() {
		err := v.writeEntries(w, h)
		_ = w.CloseWithError(err)
		made <- err
	}()
	a, err := p.post(ctx, t.URL+"/add-entries", octets, "gzip", r)
	_ = r.Close() // the mirror may have answered before it read everything
	if merr := <-made; merr != nil && !errors.Is(merr, io.ErrClosedPipe) {
		return false, 0, fmt.Errorf("add-entries: %w", merr)
	}
	if err != nil {
		return false, 0, fmt.Errorf("add-entries: %w", err)
	}
	switch {
	case a.status == http.StatusOK:
		return true, a.status, t.accept(v, h.end, a.body)
	case (a.status == http.StatusAccepted || a.status == http.StatusConflict) && a.typ == InfoType:
		if t.info, err = parseInfo(a.body); err != nil {
			return false, a.status, fmt.Errorf("add-entries: %w", err)
		}
		t.mu.Lock()
		t.p.Next = t.info.Next
		t.mu.Unlock()
		return false, a.status, nil
	}
	return false, a.status, fmt.Errorf("add-entries: %w", a.err())
}

// writeEntries writes the body of a request: the first packages of the canonical
// sequence.
func (v *view) writeEntries(w io.Writer, h head) error {
	z := newGzip(w)
	if _, err := z.Write(h.marshal()); err != nil {
		return err
	}
	for at, n := h.start, 0; at < h.end && n < MaxPacks; n++ {
		p, err := v.pack(at, h.end)
		if err != nil {
			return err
		}
		if _, err := z.Write(p.marshal()); err != nil {
			return err
		}
		at = p.end
	}
	return z.Close()
}

// pack reads a package of the own log.
func (v *view) pack(at, size int64) (*pack, error) {
	start, end := nextPack(at, size)
	index := start / tlog.TileWidth
	t := tlog.Tile{Level: tlog.EntriesLevel, Index: index, Width: widthAt(v.cp.Size, 0, index)}
	b, err := v.p.source.Read(v.ctx, t.Path())
	if err != nil {
		return nil, fmt.Errorf("reading the own log: %w", err)
	}
	from, to := 0, 0
	for i := index * tlog.TileWidth; i < end; i++ {
		if i == start {
			from = to
		}
		next, ok := entryEnd(b, to)
		if !ok {
			return nil, fmt.Errorf("reading the own log: %s ends within an entry", t.Path())
		}
		to = next
	}
	p := &pack{start: start, end: end, raw: b[from:to]}
	p.proof, err = tlog.Subtree{Start: index * tlog.TileWidth, End: end}.Prove(size, v.read)
	return p, err
}

// accept checks the mirror's cosignature. "The client MUST ignore any
// cosignatures from unknown keys."
func (t *target) accept(v *view, size int64, body []byte) error {
	sigs, err := tlog.ParseSignatures(body)
	if err != nil {
		return fmt.Errorf("add-entries: the answer: %w", err)
	}
	cp := &tlog.SignedCheckpoint{Checkpoint: v.cp.Checkpoint, Signatures: sigs}
	if size != cp.Size {
		cp.Size, cp.Root, cp.Extensions = size, tlog.EmptyRoot(), nil
		if size > 0 {
			if cp.Root, err = xtlog.TreeHash(size, v.read); err != nil {
				return err
			}
		}
	}
	for _, k := range t.Keys {
		when, err := k.Verify(cp)
		if errors.Is(err, tlog.ErrNotSigned) {
			continue
		} else if err != nil {
			return fmt.Errorf("add-entries: the mirror's cosignature: %w", err)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.sigs, t.p.Size, t.p.Next, t.p.Cosigned = sigs, size, size, when
		t.p.Lag, t.info.Next = v.cp.Size-size, size
		return nil
	}
	return errors.New("add-entries: the mirror answered without a cosignature of its key")
}
