//go:build linux

package test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/internal/mirror"
	"vitrine.example/tlog"
)

// watchEvery is how often everything that the nodes show is looked at.
const watchEvery = 400 * time.Millisecond

func (w *circleWorld) get(url string) ([]byte, error) {
	b, _, err := w.ask(url)
	return b, err
}

// patient is get for somebody who asks for more than a node gives one client at
// once, and takes the time.
func (w *circleWorld) patient(url string) (b []byte, err error) {
	for range 60 {
		var code int
		if b, code, err = w.ask(url); code != http.StatusTooManyRequests {
			break
		}
		time.Sleep(time.Second)
	}
	return b, err
}

// ask also returns the status code.
func (w *circleWorld) ask(url string) (b []byte, code int, err error) {
	r, err := w.client.Get(url)
	if err != nil {
		return nil, 0, err
	}
	defer r.Body.Close()
	b, err = io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.200s", url, r.Status, b)
	}
	return b, r.StatusCode, err
}

// errorf is an error of the whole test, from any goroutine.
func (w *circleWorld) errorf(format string, args ...any) {
	w.t.Errorf("%v: %s", time.Since(w.began).Round(time.Millisecond), fmt.Sprintf(format, args...))
}

// note keeps what is done to the circle.
func (w *circleWorld) note(what string) {
	w.mu.Lock()
	w.recent = what
	w.mu.Unlock()
	w.t.Logf("%v: %s", time.Since(w.began).Round(time.Millisecond), what)
}

func (w *circleWorld) ack(a ack) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.during = w.recent
	w.acked = append(w.acked, a)
	if a.took > w.slow.took {
		w.slow = a
	}
}

func (w *circleWorld) fail(n *circleNode, err error) {
	why := strings.TrimSpace(fmt.Sprint(err))
	if i := strings.LastIndex(why, "vitrine: error: "); i >= 0 {
		why, _, _ = strings.Cut(why[i:], "\n")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed[fmt.Sprintf("%s: %.250s (%s)", n.name, why, w.recent)]++
}

// saw keeps a checkpoint, and fails the test where another root of the same size
// was seen: that is a fork, whoever shows it.
func (w *circleWorld) saw(where string, c *tlog.SignedCheckpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	m := w.seen[c.Origin]
	if m == nil {
		m = map[int64]tlog.Hash{}
		w.seen[c.Origin] = m
	}
	if was, ok := m[c.Size]; ok && was != c.Root {
		w.errorf("FORK: %s shows %v, and another root of this size was seen", where, c.Checkpoint)
	}
	m[c.Size] = c.Root
}

// look reads a checkpoint of n's log wherever it is shown, and verifies the
// log's signature on it.
func (w *circleWorld) look(n *circleNode, url string) (*tlog.SignedCheckpoint, error) {
	b, err := w.get(url)
	if err != nil {
		return nil, err
	}
	c, err := tlog.ParseCheckpoint(b)
	if err == nil && c.Origin != n.origin() {
		err = fmt.Errorf("it is of %s", c.Origin)
	}
	if err == nil {
		_, err = n.log.Verify(c)
	}
	if err != nil {
		return nil, &badError{fmt.Errorf("%s: %w", url, err)}
	}
	w.saw(url, c)
	return c, nil
}

// badError is about an answer that no node may give, whatever is done to it.
type badError struct{ error }

// published looks at the checkpoint that n publishes: at least two others must
// have cosigned it.
func (w *circleWorld) published(n *circleNode) (*tlog.SignedCheckpoint, error) {
	c, err := w.look(n, n.url()+"/checkpoint")
	if err != nil {
		return nil, err
	}
	return c, w.cosigned(n, c)
}

func (w *circleWorld) cosigned(n *circleNode, c *tlog.SignedCheckpoint) error {
	var by []string
	for _, o := range w.nodes {
		if o == n {
			continue
		}
		if err := signedBy(c, o.witness); err == nil {
			by = append(by, o.name)
		} else if !errors.Is(err, tlog.ErrNotSigned) {
			return &badError{fmt.Errorf("%s publishes %v with a cosignature of %s that is wrong: %w", n.name, c.Checkpoint, o.name, err)}
		}
	}
	if len(by) < 2 {
		return &badError{fmt.Errorf("%s publishes %v, cosigned by %v alone", n.name, c.Checkpoint, by)}
	}
	return nil
}

// signedBy verifies the signature of one of the keys.
func signedBy(c *tlog.SignedCheckpoint, keys []tlog.Verifier) error {
	err := tlog.ErrNotSigned
	for _, k := range keys {
		if _, err = k.Verify(c); !errors.Is(err, tlog.ErrNotSigned) {
			return err
		}
	}
	return err
}

// watch looks at everything until ctx is done.
func (w *circleWorld) watch(ctx context.Context) {
	var wg sync.WaitGroup
	for _, n := range w.nodes {
		wg.Go(func() {
			for ; ctx.Err() == nil; time.Sleep(watchEvery) {
				w.complain(w.lookAround(n))
			}
		})
	}
	wg.Wait()
}

// complain fails the test for an answer that no node may give. That none came is
// what faults do.
func (w *circleWorld) complain(err error) {
	if bad := (*badError)(nil); errors.As(err, &bad) {
		w.errorf("%v", bad)
	}
}

// lookAround looks at all that a node shows: its own log, and those that it
// cosigns and mirrors.
func (w *circleWorld) lookAround(n *circleNode) error {
	_, err := w.published(n)
	errs := []error{err}
	for _, o := range w.nodes {
		if o == n {
			continue
		}
		errs = append(errs, w.witnessed(n, o))
		_, err := w.mirrored(n, o)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// witnessed looks at what n has cosigned of the log of o.
func (w *circleWorld) witnessed(n, o *circleNode) error {
	url := n.url() + "/witness/" + mirror.OriginHash(o.origin()) + "/checkpoint"
	c, err := w.look(o, url)
	if err != nil {
		return err
	}
	if err := signedBy(c, n.witness); err != nil {
		return &badError{fmt.Errorf("%s: %w", url, err)}
	}
	return nil
}

// mirrored looks at the copy that n has of the log of o: the mirror and those
// whom o's log needs must have cosigned it.
func (w *circleWorld) mirrored(n, o *circleNode) (*tlog.SignedCheckpoint, error) {
	url := n.url() + "/mirror/" + mirror.OriginHash(o.origin()) + "/checkpoint"
	c, err := w.look(o, url)
	if err != nil {
		return nil, err
	}
	if err := signedBy(c, n.mirror); err != nil {
		return nil, &badError{fmt.Errorf("%s: %w", url, err)}
	}
	return c, nil
}

// leaves reads all entries of n's log up to a size, as n serves them.
func (w *circleWorld) leaves(n *circleNode, size int64) (out [][]byte, err error) {
	for at := int64(0); at < size; at += tlog.TileWidth {
		tile := tlog.Tile{Level: tlog.EntriesLevel, Index: at / tlog.TileWidth, Width: int(min(size-at, tlog.TileWidth))}
		b, err := w.get(n.url() + "/" + tile.Path())
		if err != nil {
			return nil, err
		}
		for len(b) > 0 {
			if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
				return nil, fmt.Errorf("%s: %s ends within an entry", n.name, tile.Path())
			}
			end := 2 + int(binary.BigEndian.Uint16(b))
			out, b = append(out, b[2:end]), b[end:]
		}
	}
	if int64(len(out)) != size {
		return nil, fmt.Errorf("%s serves %d entries of %d", n.name, len(out), size)
	}
	return out, nil
}

// forest is what the entries of a log say of every smaller size of it.
type forest []tlog.Hash

// ReadHashes implements xtlog.HashReader.
func (f forest) ReadHashes(at []int64) (out []tlog.Hash, err error) {
	for _, i := range at {
		if i >= int64(len(f)) {
			return nil, fmt.Errorf("no hash %d", i)
		}
		out = append(out, f[i])
	}
	return out, nil
}

func newForest(leaves [][]byte) (forest, error) {
	var f forest
	for i, l := range leaves {
		h, err := xtlog.StoredHashes(int64(i), l, f)
		if err != nil {
			return nil, err
		}
		f = append(f, h...)
	}
	return f, nil
}

func (f forest) root(size int64) (tlog.Hash, error) {
	if size == 0 {
		return tlog.EmptyRoot(), nil
	}
	return xtlog.TreeHash(size, f)
}
