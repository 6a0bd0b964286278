package mirror

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// InfoType is the media type of answers 202 and 409 to add-entries.
const InfoType = "text/x.tlog.mirror-info"

// Bounds of a batch: packages that are written and synced together.
const (
	batchPacks = 32
	batchBytes = 4 << 20
)

// answer is what a request is answered with that does not end in a signature.
type answer struct {
	status int
	text   string
	info   []byte // for 202 and 409
}

func (a *answer) Error() string { return a.text }

func refuse(status int, format string, args ...any) error {
	return &answer{status: status, text: fmt.Sprintf(format, args...)}
}

// upload is one add-entries request.
type upload struct {
	m    *Mirror
	c    *logCopy
	head head
	cp   *tlog.SignedCheckpoint // the pending checkpoint of size upload_end
	body io.Reader
	seat *seat

	writing chan error // the batch that is being written, if any
	saved   bool       // a package was authenticated
}

// addEntries serves the call of that name (tlog-mirror, section "add-entries")
// and returns signature lines.
func (m *Mirror) addEntries(rw http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Type") != octets {
		return nil, refuse(http.StatusUnsupportedMediaType, "want Content-Type: %s", octets)
	}
	u := &upload{m: m, seat: newSeat(r, m.o.Now)}
	// Not every connection has deadlines; the server's own limits hold there.
	ctl, last := http.NewResponseController(rw), time.Now().Add(m.o.Limits.Request)
	u.seat.extend = func() error {
		d := time.Now().Add(m.o.Limits.Package)
		if d.After(last) {
			d = last
		}
		return errors.Join(ctl.SetReadDeadline(d), ctl.SetWriteDeadline(d.Add(m.o.Limits.Package)))
	}
	u.seat.cut = func() { _ = ctl.SetReadDeadline(time.Unix(1, 0)) }
	leave, err := m.places.take(r.Context(), u.seat)
	if err != nil {
		return nil, err
	}
	defer leave()
	u.seat.more()
	if u.body, err = decoded(r); err == nil {
		var lines []byte
		if lines, err = u.serve(r.Context()); err == nil {
			return lines, nil
		}
	}
	if a := statusOf(err); a != nil && a.status == http.StatusBadRequest && u.seat.evicted() {
		return nil, errCrowded() // not the client's fault
	}
	return nil, err
}

// decoded undoes the Content-Encoding: "Mirrors MUST support receiving
// Content-Encoding: gzip". What is in it is read package by package, so that a
// small body that becomes a large one costs no memory.
func decoded(r *http.Request) (io.Reader, error) {
	switch enc := strings.ToLower(r.Header.Get("Content-Encoding")); enc {
	case "", "identity":
		return bufio.NewReaderSize(r.Body, 64<<10), nil
	case "gzip":
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "reading the gzip header: it is cut off or malformed")
		}
		return bufio.NewReaderSize(z, 64<<10), nil
	default:
		return nil, refuse(http.StatusUnsupportedMediaType, "Content-Encoding %.20q is not supported: want gzip or none", enc)
	}
}

func (u *upload) serve(ctx context.Context) ([]byte, error) {
	h, err := readHead(u.body)
	if err != nil && !errors.Is(err, errBeyond) {
		return nil, refuse(http.StatusBadRequest, "malformed or cut off: %v", err)
	}
	u.head = h
	if u.c = u.m.find(sha256.Sum256([]byte(h.origin))); u.c == nil {
		return nil, refuse(http.StatusNotFound, "this mirror does not know a log of that origin")
	}
	leave, err := u.c.places.take(ctx, u.seat)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := u.begin(ctx); err != nil {
		return nil, err
	}
	if err := u.receive(ctx); err != nil {
		return nil, err
	}
	lines, err := u.c.finish(ctx, u.cp)
	if err == nil && lines == nil {
		return nil, u.info(ctx, http.StatusConflict, nil, "the mirror is beyond upload_end")
	}
	return lines, err
}

// begin checks the head against what the mirror has.
func (u *upload) begin(ctx context.Context) error {
	newest, err := u.m.o.Pending.Newest(ctx, u.c.origin)
	if err != nil {
		return err
	}
	if newest == nil {
		return refuse(http.StatusUnprocessableEntity, "there is no pending checkpoint of that log yet: add-checkpoint comes first")
	}
	if err := u.c.damaged(); err != nil {
		return refuse(http.StatusServiceUnavailable, "the copy of this log is damaged: the operator of the mirror has to look at it")
	}
	if u.cp, err = u.known(ctx, newest); err != nil {
		return err
	}
	s := u.c.at()
	excess := min(u.head.end, s.next) - u.head.start
	switch {
	case u.cp == nil:
		return u.info(ctx, http.StatusConflict, newest, "upload_end is not the size of a pending checkpoint")
	case u.head.end < s.size():
		return u.info(ctx, http.StatusConflict, newest, "the mirror is beyond upload_end")
	case u.head.start > s.next:
		return u.info(ctx, http.StatusConflict, u.cp, "upload_start is above the next entry")
	case excess > u.m.o.Limits.Excess:
		return u.info(ctx, http.StatusConflict, u.cp, "too many entries that the mirror has already")
	}
	return nil
}

// known returns the pending checkpoint of size upload_end, or nil.
func (u *upload) known(ctx context.Context, newest *tlog.SignedCheckpoint) (*tlog.SignedCheckpoint, error) {
	if newest.Size == u.head.end {
		return newest, nil
	}
	if cp := u.c.at().checkpoint; cp != nil && cp.Size == u.head.end {
		return u.m.unsigned(cp), nil
	}
	if cp, err := u.m.o.Pending.Earlier(ctx, u.c.origin, u.head.end); cp != nil || err != nil {
		return cp, err
	}
	if cp := u.c.fromTicket(u.head.ticket); cp != nil && cp.Size == u.head.end {
		return cp, nil
	}
	return nil, nil
}

// unsigned returns a checkpoint without the mirror's own signatures.
func (m *Mirror) unsigned(cp *tlog.SignedCheckpoint) *tlog.SignedCheckpoint {
	out := &tlog.SignedCheckpoint{Checkpoint: cp.Checkpoint}
	for _, s := range cp.Signatures {
		own := false
		for _, v := range m.Verifiers() {
			own = own || v.Name() == s.Name && v.KeyID() == s.KeyID
		}
		if !own {
			out.Signatures = append(out.Signatures, s)
		}
	}
	return out
}

// info is an answer that says where to go on. cp is nil for the pending
// checkpoint.
func (u *upload) info(ctx context.Context, status int, cp *tlog.SignedCheckpoint, why string) error {
	if cp == nil {
		var err error
		if cp, err = u.m.o.Pending.Newest(ctx, u.c.origin); err != nil {
			return err
		}
	}
	i := Info{Size: cp.Size, Next: u.c.at().next, Ticket: u.c.ticket(cp)}
	return &answer{status: status, text: why, info: i.marshal()}
}

// Info is the body of answers 202 and 409.
type Info struct {
	Size   int64 // of a valid pending checkpoint
	Next   int64 // the next entry
	Ticket []byte
}

func (i Info) marshal() []byte {
	return fmt.Appendf(nil, "%d\n%d\n%s\n", i.Size, i.Next, base64.StdEncoding.EncodeToString(i.Ticket))
}

// parseInfo reads an Info, strictly.
func parseInfo(b []byte) (i Info, err error) {
	lines := strings.Split(string(b), "\n")
	if len(lines) != 4 || lines[3] != "" {
		return i, errors.New("mirror-info: want three lines")
	}
	for n, to := range []*int64{&i.Size, &i.Next} {
		v, err := strconv.ParseInt(lines[n], 10, 64)
		if err != nil || v < 0 || v > tlog.MaxSize || strconv.FormatInt(v, 10) != lines[n] {
			return Info{}, fmt.Errorf("mirror-info line %d: %.40q is not a size", n+1, lines[n])
		}
		*to = v
	}
	i.Ticket, err = base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || base64.StdEncoding.EncodeToString(i.Ticket) != lines[2] || len(i.Ticket) > maxTicket {
		return Info{}, errors.New("mirror-info line 3: not a ticket of at most 65535 bytes in base64")
	}
	return i, nil
}

// receive reads, verifies and saves packages until all entries are in the copy.
// An error is the answer.
func (u *upload) receive(ctx context.Context) error {
	why := u.receivePacks(ctx)
	if why == nil {
		return nil
	}
	switch {
	case errors.Is(why, errBadPack):
		return refuse(http.StatusUnprocessableEntity, "%v", why)
	case !errors.Is(why, errCut):
		return why
	case !u.saved:
		return refuse(http.StatusBadRequest, "the body ended, or could not be read, before the end of its first entry package")
	}
	// "This case covers both a deliberate prefix upload by the client and an
	// interrupted request that the mirror committed partially."
	return u.info(ctx, http.StatusAccepted, u.cp, "")
}

// errCut says that the body ended, or could not be read any further.
var errCut = errors.New("the body ended")

func (u *upload) receivePacks(ctx context.Context) error {
	var batch []*pack
	size := 0
	err := func() error {
		for at := u.head.start; at < u.head.end; {
			u.seat.more()
			p, err := u.receivePack(at)
			if err != nil {
				return err
			}
			u.seat.progress()
			batch, size, at = append(batch, p), size+len(p.raw), p.end
			if len(batch) < batchPacks && size < batchBytes {
				continue
			}
			if err := u.save(ctx, batch); err != nil {
				return err
			}
			batch, size = nil, 0
		}
		return nil
	}()
	// What was authenticated is kept, whatever came after it.
	if len(batch) > 0 && (err == nil || errors.Is(err, errCut) || errors.Is(err, errBadPack)) {
		if err := u.save(ctx, batch); err != nil {
			return err
		}
	}
	if werr := u.written(); werr != nil {
		return werr
	}
	return err
}

// receivePack reads one package and authenticates it.
func (u *upload) receivePack(at int64) (*pack, error) {
	start, end := nextPack(at, u.head.end)
	p, err := readPack(u.body, start, end)
	if errors.Is(err, errBadPack) {
		return nil, err
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", errCut, err)
	}
	var before []tlog.Hash
	if n := int(start % tlog.TileWidth); n > 0 {
		b, err := u.c.tile(0, start/tlog.TileWidth, n)
		if err != nil {
			return nil, err
		}
		before = splitHashes(b)
	}
	return p, p.verify(before, u.cp.Checkpoint)
}

// save has a batch written while the next one is received.
func (u *upload) save(ctx context.Context, batch []*pack) error {
	if err := u.written(); err != nil {
		return err
	}
	u.saved = true
	done := make(chan error, 1)
	u.writing = done
	// A client that goes away does not end what is being written.
	go func() { done <- u.c.write(context.WithoutCancel(ctx), batch) }()
	return nil
}

// written waits for the batch that is being written.
func (u *upload) written() error {
	if u.writing == nil {
		return nil
	}
	err := <-u.writing
	u.writing = nil
	return err
}

// status maps errors to answers.
func statusOf(err error) *answer {
	if a, ok := errors.AsType[*answer](err); ok {
		return a
	}
	switch {
	case errors.Is(err, ErrFull), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, store.ErrFull):
		return &answer{status: http.StatusInsufficientStorage, text: "the mirror has no room: nothing of the last entries was kept"}
	case errors.Is(err, store.ErrBusy):
		return &answer{status: http.StatusServiceUnavailable, text: "the mirror cannot keep its state at present"}
	case errors.Is(err, ErrDamaged):
		return &answer{status: http.StatusServiceUnavailable, text: "the copy of this log is damaged: the operator of the mirror has to look at it"}
	}
	return nil
}
