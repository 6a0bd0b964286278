package conformance

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"vitrine.example/tlog"
)

// infoType is the Content-Type of answers 202 and 409 to add-entries.
const infoType = "text/x.tlog.mirror-info"

// The logs that are played against a mirror.
const (
	copyLog   = "mirror"        // mirrored step by step
	neverLog  = "mirror-never"  // no checkpoint is ever added
	brokenLog = "mirror-broken" // is sent what does not hold
	cutLog    = "mirror-cut"    // uploads end early, and meet each other
	twoLog    = "mirror-two"    // shows two histories
)

var mirrorLogNames = []string{copyLog, neverLog, brokenLog, cutLog, twoLog}

// MirrorLogs returns the logs to configure a mirror with.
func MirrorLogs(seed string) ([]Log, error) { return logsOf(seed, mirrorLogNames) }

// RunMirror plays the logs of the seed against a mirror. Keys are those of the
// mirror, not of a witness beside it. It returns an error only where it could
// not begin.
func RunMirror(ctx context.Context, t Target) (Report, error) {
	return play(ctx, t, mirrorLogNames, mirrorChecks())
}

func mirrorChecks() []check {
	var all []check
	for _, part := range [][]check{pendingChecks(), headChecks(), packageChecks(), commitChecks(), meetingChecks(), historyChecks()} {
		all = append(all, part...)
	}
	return all
}

// head is what a request begins with.
func (p *player) head(start, end int64, ticket []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(p.origin)))
	b = append(b, p.origin...)
	b = binary.BigEndian.AppendUint64(b, uint64(start))
	b = binary.BigEndian.AppendUint64(b, uint64(end))
	b = binary.BigEndian.AppendUint16(b, uint16(len(ticket)))
	return append(b, ticket...)
}

// pack is an entry package: entries and the proof of their subtree.
type pack struct {
	entries []byte
	proof   []tlog.Hash
}

func (k pack) marshal() []byte {
	b := append(bytes.Clone(k.entries), byte(len(k.proof)))
	for _, h := range k.proof {
		b = append(b, h[:]...)
	}
	return b
}

// packs makes the canonical sequence of a history for [start, end).
func (p *player) packs(h *history, start, end int64) (out []pack, err error) {
	if err := h.reach(end); err != nil {
		return nil, err
	}
	for at := start; at < end; {
		first := at / tlog.TileWidth * tlog.TileWidth
		to := min(end, first+tlog.TileWidth)
		k := pack{}
		for ; at < to; at++ {
			e := h.entry(at)
			k.entries = append(binary.BigEndian.AppendUint16(k.entries, uint16(len(e))), e...)
		}
		if k.proof, err = (tlog.Subtree{Start: first, End: to}).Prove(end, h.t); err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

// body is a request with the first so many packages; all of them where that is
// below 0.
func (p *player) body(start, end int64, many int) ([]byte, error) {
	packs, err := p.packs(p.main, start, end)
	if err != nil {
		return nil, err
	}
	b := p.head(start, end, nil)
	for i, k := range packs {
		if i == many {
			break
		}
		b = append(b, k.marshal()...)
	}
	return b, nil
}

func octets() http.Header { return http.Header{"Content-Type": {"application/octet-stream"}} }

// entries sends a request.
func (e *env) entries(body []byte) (*answer, error) {
	return e.send(http.MethodPost, e.t.URL+"/add-entries", octets(), body)
}

// entriesWant sends a request and compares the status.
func (e *env) entriesWant(body []byte, status int) error {
	a, err := e.entries(body)
	if err != nil {
		return err
	}
	return a.want(status)
}

// upload sends a good request for [start, end).
func (e *env) upload(p *player, start, end int64, many, status int) (*answer, error) {
	b, err := p.body(start, end, many)
	if err != nil {
		return nil, err
	}
	a, err := e.entries(b)
	if err != nil {
		return nil, err
	}
	return a, a.want(status)
}

// mirrored uploads [start, end) and verifies the mirror's cosignatures.
func (e *env) mirrored(p *player, start, end int64) (*answer, error) {
	a, err := e.upload(p, start, end, -1, http.StatusOK)
	if err != nil {
		return nil, err
	}
	c, err := p.checkpoint(p.main, end)
	if err != nil {
		return nil, err
	}
	_, err = e.cosigned(c, a)
	return a, err
}

// pend makes a size the pending one.
func (e *env) pend(p *player, size int64) error {
	q, err := p.request(p.main, p.size, size)
	if err != nil {
		return err
	}
	_, err = e.addWants(p, q, http.StatusOK)
	return err
}

// info is what answers 202 and 409 say.
type info struct {
	size, next int64
	ticket     []byte
}

func (a *answer) info() (i info, err error) {
	if got := a.header.Get("Content-Type"); got != infoType {
		return i, fmt.Errorf("the Content-Type is %q", got)
	}
	lines := strings.SplitAfter(string(a.body), "\n")
	if len(lines) != 4 || lines[3] != "" {
		return i, fmt.Errorf("not three lines: %.100q", a.body)
	}
	if i.size, err = tlog.ParseSize([]byte(lines[0])); err != nil {
		return i, fmt.Errorf("line 1: %w", err)
	}
	if i.next, err = tlog.ParseSize([]byte(lines[1])); err != nil {
		return i, fmt.Errorf("line 2: %w", err)
	}
	i.ticket, err = base64.StdEncoding.Strict().DecodeString(strings.TrimSuffix(lines[2], "\n"))
	return i, err
}

// next asks for the next entry, by starting where no mirror that lacks entries
// of the pending checkpoint can.
func (e *env) next(p *player) (info, error) {
	a, err := e.entries(p.head(p.size, p.size, nil))
	if err != nil {
		return info{}, err
	}
	if err := a.want(http.StatusConflict); err != nil {
		return info{}, err
	}
	return a.info()
}

func (e *env) nextWants(p *player, want int64) error {
	i, err := e.next(p)
	if err == nil && i.next != want {
		err = fmt.Errorf("the next entry is %d, want %d", i.next, want)
	}
	return err
}

// copied reads the mirror checkpoint; nil where there is none.
func (e *env) copied(name string) (*tlog.SignedCheckpoint, error) {
	c, err := e.served(name)
	if errors.Is(err, errUnsupported) {
		return nil, nil
	}
	return c, err
}

// copiedWants wants a mirror checkpoint of a size; none where it is 0.
func (e *env) copiedWants(name string, size int64) error {
	c, err := e.copied(name)
	switch {
	case err != nil:
		return err
	case c == nil && size == 0:
		return nil
	case c == nil:
		return errors.New("404 for the mirror checkpoint")
	case c.Size != size:
		return fmt.Errorf("a mirror checkpoint of size %d, want %d", c.Size, size)
	}
	want, err := e.logs[name].main.root(size)
	if err == nil && c.Root != want {
		err = errors.New("a mirror checkpoint of another tree")
	}
	return err
}

// allKeys wants a signature of each key, with a time that is about now.
func (e *env) allKeys(times map[tlog.KeyType]time.Time, err error) error {
	if err == nil && len(times) != len(e.t.Keys) {
		err = fmt.Errorf("%d of %d keys have signed", len(times), len(e.t.Keys))
	}
	for _, t := range times {
		if d := e.t.Now().Sub(t).Abs(); err == nil && d > fresh {
			err = fmt.Errorf("the time is %v away", d)
		}
	}
	return err
}

// stream is a request whose body is sent bit by bit.
type stream struct {
	w    *io.PipeWriter
	done chan struct{}
	a    *answer
	err  error
}

func (e *env) stream() *stream {
	r, w := io.Pipe()
	s := &stream{w: w, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.a, s.err = e.once(http.MethodPost, e.t.URL+"/add-entries", octets(), r)
		_ = r.CloseWithError(errors.New("answered")) // nothing more is read
	}()
	return s
}

// send sends a part. A mirror may have answered before: then it is not read.
func (s *stream) send(b []byte) { _, _ = s.w.Write(b) }

// end waits for the answer.
func (s *stream) end() (*answer, error) {
	_ = s.w.Close()
	<-s.done
	return s.a, s.err
}

// early waits for an answer while the body is open.
func (s *stream) early(patience time.Duration) (*answer, error) {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-s.done:
		return s.a, s.err
	case <-t.C:
		_, _ = s.end()
		return nil, errors.New("no answer while the body was open")
	}
}

func gzipped(b []byte) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(b)
	err = errors.Join(err, z.Close())
	return out.Bytes(), err
}
