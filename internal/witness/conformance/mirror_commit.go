package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/tlog"
)

const (
	sectionServed   = "Introduction"
	sectionConsider = "add-entries, Implementation Considerations"
)

// commitChecks bring the main log from nothing, with 700 entries pending, to
// 10,600.
func commitChecks() []check {
	return []check{
		{"prefix", sectionProcess, Must, "202 where only the first package is sent, with the advanced next entry", func(e *env) error {
			a, err := e.upload(e.logs[copyLog], 0, 700, 1, http.StatusAccepted)
			if err != nil {
				return err
			}
			i, err := a.info()
			if err == nil && i.next != 256 {
				err = fmt.Errorf("the next entry is %d, want 256", i.next)
			}
			return err
		}},
		{"prefix-unserved", sectionProcess, Must, "what is not complete is no mirror checkpoint", func(e *env) error { return e.copiedWants(copyLog, 0) }},
		{"cut-second", sectionProcess, Must, "202 where a package follows of which there is only a part, which is discarded", func(e *env) error {
			p := e.logs[copyLog]
			one, err := p.body(256, 700, 1)
			if err != nil {
				return err
			}
			two, err := p.body(256, 700, 2)
			if err != nil {
				return err
			}
			a, err := e.entries(two[:len(one)+10])
			if err != nil {
				return err
			}
			if err := a.want(http.StatusAccepted); err != nil {
				return err
			}
			i, err := a.info()
			if err == nil && i.next != 512 {
				err = fmt.Errorf("the next entry is %d, want 512", i.next)
			}
			return err
		}},
		{"prefix-size", sectionProcess, Should, "the first line of 202 and 409 is upload_end", func(e *env) error {
			i, err := e.next(e.logs[copyLog])
			if err == nil && i.size != 700 {
				err = fmt.Errorf("%d, want 700", i.size)
			}
			return err
		}},
		{"commit", sectionProcess, Must, "200 and the mirror's cosignature for the rest, also where entries are sent again", func(e *env) error {
			_, err := e.mirrored(e.logs[copyLog], 300, 700)
			return err
		}},
		{"commit-again", sectionProcess, Must, "200 and a cosignature for nothing, where all is mirrored", func(e *env) error {
			_, err := e.mirrored(e.logs[copyLog], 700, 700)
			return err
		}},
		{"commit-keys", sectionProcess, Must, "the signatures are by the mirror's keys: each one given signs, with the time", func(e *env) error {
			p := e.logs[copyLog]
			a, err := e.mirrored(p, 700, 700)
			if err != nil {
				return err
			}
			c, err := p.checkpoint(p.main, 700)
			if err != nil {
				return err
			}
			return e.allKeys(e.cosigned(c, a))
		}},
		{"served", sectionServed, Must, "the mirror checkpoint is served", func(e *env) error { return e.copiedWants(copyLog, 700) }},
		{"served-cosigned", sectionServed, Must, "with the mirror's cosignature", func(e *env) error {
			c, err := e.served(copyLog)
			if err != nil {
				return err
			}
			return e.allKeys(verified(e.t.Keys, c))
		}},
		{"served-log", sectionPending, Must, "and with the log's signature", func(e *env) error {
			c, err := e.served(copyLog)
			if err != nil {
				return err
			}
			_, err = e.logs[copyLog].signers[0].Verifier().Verify(c)
			return err
		}},
		{"served-copy", sectionServed, Must, "entry bundles and tiles of that size are the log's", func(e *env) error { return e.copyWants(copyLog, 700) }},
		{"grow", sectionProcess, Must, "200 for more entries, from the middle of a bundle", func(e *env) error {
			p := e.logs[copyLog]
			if err := e.pend(p, 1300); err != nil {
				return err
			}
			_, err := e.mirrored(p, 700, 1300)
			return err
		}},
		{"end-behind", sectionProcess, Must, "409 where upload_end is below the mirror checkpoint", func(e *env) error {
			return e.entriesWant(e.logs[copyLog].head(700, 700, nil), http.StatusConflict)
		}},
		{"gzip", sectionBody, Must, "Content-Encoding: gzip is understood", func(e *env) error {
			p := e.logs[copyLog]
			if err := e.pend(p, 1400); err != nil {
				return err
			}
			b, err := p.body(1300, 1400, -1)
			if err != nil {
				return err
			}
			if b, err = gzipped(b); err != nil {
				return err
			}
			h := octets()
			h.Set("Content-Encoding", "gzip")
			a, err := e.send(http.MethodPost, e.t.URL+"/add-entries", h, b)
			if err != nil {
				return err
			}
			return a.want(http.StatusOK)
		}},
		{"end-earlier", sectionProcess, Should, "upload_end may be one of the last several pending sizes, with the ticket that was given for it", func(e *env) error {
			p := e.logs[copyLog]
			if err := e.pend(p, 1500); err != nil {
				return err
			}
			i, err := e.next(p)
			if err != nil {
				return err
			}
			if err := errors.Join(e.pend(p, 1550), e.pend(p, 1600)); err != nil {
				return err
			}
			b, err := p.body(1400, 1500, -1)
			if err != nil {
				return err
			}
			b = append(p.head(1400, 1500, i.ticket), b[len(p.head(1400, 1500, nil)):]...)
			return errors.Join(e.entriesWant(b, http.StatusOK), e.copiedWants(copyLog, 1500))
		}},
		{"packages-32", sectionConsider, Should, "a request of 32 packages is taken, and one for the rest", func(e *env) error {
			p := e.logs[copyLog]
			if err := e.pend(p, 10_600); err != nil {
				return err
			}
			i, err := e.next(p)
			if err != nil {
				return err
			}
			a, err := e.upload(p, i.next, 10_600, 32, http.StatusAccepted)
			if err != nil {
				return err
			}
			if i, err = a.info(); err != nil {
				return err
			}
			_, err = e.mirrored(p, i.next, 10_600)
			return err
		}},
		{"served-all", sectionServed, Must, "the larger copy is the log's too", func(e *env) error {
			return errors.Join(e.copiedWants(copyLog, 10_600), e.copyWants(copyLog, 10_600))
		}},
		{"excess", sectionProcess, Must, "409 where excess_entries is above the mirror's bound, or all are taken again: 10,600 that it has", func(e *env) error {
			_, err := e.excess(e.logs[copyLog], 10_600)
			return err
		}},
		{"excess-next", sectionProcess, Must, "and 200 from the next entry that it tells", func(e *env) error {
			p := e.logs[copyLog]
			next, err := e.excess(p, 10_600)
			if err != nil {
				return err
			}
			_, err = e.mirrored(p, next, 10_600)
			return err
		}},
		{"skip", sectionProcess, Must, "200 for 300 entries that the mirror has already, of which none is saved again", func(e *env) error {
			if _, err := e.mirrored(e.logs[copyLog], 10_300, 10_600); err != nil {
				return err
			}
			return errors.Join(e.copiedWants(copyLog, 10_600), e.copyWants(copyLog, 10_600))
		}},
		{"served-unknown", sectionServed, Must, "404 for a log that is not known", func(e *env) error {
			return e.monitored(http.MethodGet, strings.Repeat("0", 64), http.StatusNotFound)
		}},
		{"method", sectionProcess, Must, "requests are POST: GET and PUT are refused", func(e *env) error {
			for _, m := range []string{http.MethodGet, http.MethodPut} {
				a, err := e.send(m, e.t.URL+"/add-entries", octets(), e.logs[copyLog].head(1300, 1300, nil))
				if err != nil {
					return err
				}
				if err := a.refused(); err != nil {
					return fmt.Errorf("%s: %w", m, err)
				}
			}
			return nil
		}},
	}
}

// excess sends again all entries of a log that is mirrored whole, and returns the
// next entry. Where the mirror has a bound, the head of the request is enough; where
// it has none it wants packages (400), and takes them.
func (e *env) excess(p *player, size int64) (next int64, err error) {
	a, err := e.entries(p.head(0, size, nil))
	if err != nil {
		return 0, err
	}
	if a.status == http.StatusBadRequest {
		_, err := e.mirrored(p, 0, size)
		return size, err
	}
	if err := a.want(http.StatusConflict); err != nil {
		return 0, err
	}
	i, err := a.info()
	if err == nil && i.next != size {
		err = fmt.Errorf("the next entry is %d, want %d", i.next, size)
	}
	return i.next, err
}

// copyWants compares every bundle and tile of a size.
func (e *env) copyWants(name string, size int64) error {
	p := e.logs[name]
	for level := tlog.EntriesLevel; size>>(8*max(level, 0)) > 0; level++ {
		n := size >> (8 * max(level, 0))
		for i := int64(0); i*tlog.TileWidth < n; i++ {
			t := tlog.Tile{Level: level, Index: i, Width: int(min(n-i*tlog.TileWidth, tlog.TileWidth))}
			want, err := p.tile(t)
			if err != nil {
				return err
			}
			a, err := e.do(http.MethodGet, e.t.Monitoring+"/"+p.originHash()+"/"+t.Path(), nil)
			if err != nil {
				return err
			}
			if a.status != http.StatusOK || !bytes.Equal(a.body, want) {
				return fmt.Errorf("%s: status %d, %d bytes that are not the log's %d", t.Path(), a.status, len(a.body), len(want))
			}
		}
	}
	return nil
}

func (p *player) tile(t tlog.Tile) ([]byte, error) {
	if t.Level != tlog.EntriesLevel {
		return xtlog.ReadTileData(xtlog.Tile{H: 8, L: t.Level, N: t.Index, W: t.Width}, p.main.t)
	}
	packs, err := p.packs(p.main, t.Index*tlog.TileWidth, t.Index*tlog.TileWidth+int64(t.Width))
	if err != nil {
		return nil, err
	}
	return packs[0].entries, nil
}

// meetingChecks are about several clients, and such as go away.
func meetingChecks() []check {
	return []check{
		{"interrupted", sectionConsider, Must, "a client that goes away in the middle leaves all as it was, or advanced", func(e *env) error {
			p := e.logs[cutLog]
			b, err := p.body(0, 1000, 2)
			if err != nil {
				return err
			}
			s := e.stream()
			s.send(b[:len(b)-100])
			_ = s.w.CloseWithError(errors.New("gone"))
			<-s.done
			i, err := e.reached(p, 256)
			if err == nil && i.next != 0 && i.next != 256 {
				err = fmt.Errorf("the next entry is %d", i.next)
			}
			return err
		}},
		{"paused", sectionConsider, Should, "a client that pauses does not hold up another", func(e *env) error {
			p := e.logs[cutLog]
			s := e.stream()
			defer func() { _, _ = s.end() }()
			b, err := p.body(0, 1000, 1)
			if err != nil {
				return err
			}
			s.send(b)
			if _, err := e.reached(p, 256); err != nil {
				return err
			}
			_, err = e.mirrored(p, 0, 1000)
			return err
		}},
		{"overtaken", sectionConsider, Must, "a client whose entries another has sent in the meantime gets 200", func(e *env) error {
			return e.overtaken(1000, 2000, 2000, http.StatusOK)
		}},
		{"no-rewind", sectionConsider, Must, "409 where another has brought the mirror beyond upload_end in the meantime", func(e *env) error {
			if err := e.pend(e.logs[cutLog], 2300); err != nil {
				return err
			}
			return e.overtaken(2000, 2300, 2600, http.StatusConflict)
		}},
		{"no-rewind-served", sectionConsider, Must, "and the mirror checkpoint is not rewound", func(e *env) error { return e.copiedWants(cutLog, 2600) }},
		{"equal", sectionConsider, Must, "several clients that send the same at once all get 200", func(e *env) error {
			var errs []error
			for size := int64(3600); size <= equalEnd; size += 1000 {
				errs = append(errs, e.equal(size))
			}
			return errors.Join(errs...)
		}},
		{"equal-copy", sectionConsider, Must, "and the copy is the log's", func(e *env) error {
			return errors.Join(e.copiedWants(cutLog, equalEnd), e.copyWants(cutLog, equalEnd))
		}},
	}
}

// reached gives the mirror a second to save up to an entry. It may well save
// later: this only keeps what follows in one order where that can be.
func (e *env) reached(p *player, next int64) (i info, err error) {
	for range 50 {
		if i, err = e.next(p); err != nil || i.next >= next {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return i, err
}

// equalEnd is the size that the log of meetingChecks ends with.
const equalEnd = 6600

// equal has rival clients send the last 1,000 entries of a size.
func (e *env) equal(size int64) error {
	p := e.logs[cutLog]
	if err := e.pend(p, size); err != nil {
		return err
	}
	b, err := p.body(size-1000, size, -1)
	if err != nil {
		return err
	}
	var errs [4]error // a mirror may take no more of one log at once
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = e.entriesWant(b, http.StatusOK) })
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		if i, nerr := e.next(p); nerr == nil { // try again, as clients do
			_, nerr = e.mirrored(p, i.next, size)
			return errors.Join(err, nerr)
		}
		return err
	}
	return nil
}

// overtaken begins to send [start, end), has another client send up to beyond,
// and goes on.
func (e *env) overtaken(start, end, beyond int64, status int) error {
	p := e.logs[cutLog]
	if err := e.pend(p, beyond); err != nil {
		return err
	}
	whole, err := p.body(start, end, -1)
	if err != nil {
		return err
	}
	one, err := p.body(start, end, 1)
	if err != nil {
		return err
	}
	s := e.stream()
	s.send(one)
	_, err = e.reached(p, start/tlog.TileWidth*tlog.TileWidth+tlog.TileWidth)
	if err == nil {
		_, err = e.mirrored(p, start, beyond)
	}
	if err != nil {
		_, _ = s.end()
		return err
	}
	s.send(whole[len(one):])
	a, err := s.end()
	if err != nil {
		return err
	}
	return a.want(status)
}

// historyChecks come last: a mirror may stop taking from a log that has signed
// two histories.
func historyChecks() []check {
	return []check{
		{"two-pending", sectionPending, Must, "422 for a checkpoint of another history, with that one's proof", func(e *env) error {
			p := e.logs[twoLog]
			if err := e.pend(p, 300); err != nil {
				return err
			}
			if _, err := e.mirrored(p, 0, 300); err != nil {
				return err
			}
			q, err := p.request(p.fork(200, 1), 300, 400)
			if err != nil {
				return err
			}
			_, err = e.addWants(p, q, http.StatusUnprocessableEntity)
			return err
		}},
		{"two-copy", "Design Rationale", Must, "the mirror stays on the history that it saw first", func(e *env) error {
			return errors.Join(e.copiedWants(twoLog, 300), e.copyWants(twoLog, 300))
		}},
	}
}
