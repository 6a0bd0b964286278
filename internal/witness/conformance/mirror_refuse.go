package conformance

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"vitrine.example/tlog"
)

const (
	sectionPending = "add-checkpoint"
	sectionBody    = "add-entries, Request Body"
	sectionProcess = "add-entries, Processing"
	// patience is how long an answer may take that needs no more of the body.
	patience = 5 * time.Second
)

// pendingChecks make 700 entries pending in one log, and 1,000 in others.
func pendingChecks() []check {
	return []check{
		{"never-pending", sectionProcess, Must, "422 to add-entries where no pending checkpoint was ever received", func(e *env) error {
			_, err := e.upload(e.logs[neverLog], 0, 10, -1, http.StatusUnprocessableEntity)
			return err
		}},
		{"never-mirrored", "Introduction", Extra, "404 for the checkpoint of a log of which nothing is mirrored", func(e *env) error {
			return e.monitored(http.MethodGet, e.logs[neverLog].originHash(), http.StatusNotFound)
		}},
		{First, sectionPending, Must, "200 for the first pending checkpoint, from old size zero", func(e *env) error { return e.pend(e.logs[copyLog], 700) }},
		{"pending-unsigned", sectionPending, Must, "the mirror's keys do not sign a checkpoint when it becomes pending", func(e *env) error {
			p := e.logs[brokenLog]
			q, err := p.request(p.main, 0, 1000)
			if err != nil {
				return err
			}
			a, err := e.addWants(p, q, http.StatusOK)
			if err != nil {
				return err
			}
			if _, err := e.cosigned(q.Checkpoint.Checkpoint, a); err == nil {
				return errors.New("the mirror has signed it")
			}
			return nil
		}},
		{"pending-not-served", sectionPending, Must, "a pending checkpoint is not served as the mirror checkpoint", func(e *env) error { return e.copiedWants(copyLog, 0) }},
		{"pending-grows", sectionPending, Must, "200 for a larger one with a consistency proof", func(e *env) error {
			return errors.Join(e.pend(e.logs[cutLog], 500), e.pend(e.logs[cutLog], 1000))
		}},
		{"pending-conflict", sectionPending, Must, "as by a witness: 409 with the pending size where the old size is another", func(e *env) error {
			p := e.logs[copyLog]
			q, err := p.request(p.main, 0, p.size)
			if err != nil {
				return err
			}
			a, err := e.addWants(p, q, http.StatusConflict)
			if err != nil {
				return err
			}
			n, err := tlog.ParseSize(a.body)
			if err == nil && (n != p.size || a.header.Get("Content-Type") != tlog.SizeType) {
				err = fmt.Errorf("size %d as %q", n, a.header.Get("Content-Type"))
			}
			return err
		}},
		{"pending-unknown", sectionPending, Must, "as by a witness: 404 for a log that is not known", func(e *env) error {
			p, err := newPlayer(e.t.Seed, "unknown")
			if err != nil {
				return err
			}
			q, err := p.next(3)
			if err != nil {
				return err
			}
			_, err = e.addWants(p, q, http.StatusNotFound)
			return err
		}},
		{"pending-signature", sectionPending, Must, "as by a witness: 403 where the log's signature does not verify", func(e *env) error {
			p := e.logs[copyLog]
			q, err := p.request(p.main, p.size, p.size+1)
			if err != nil {
				return err
			}
			q.Checkpoint.Signatures[0] = spoilt(q.Checkpoint.Signatures[0])
			_, err = e.addWants(p, q, http.StatusForbidden)
			return err
		}},
	}
}

// headCheck sends nothing but the beginning of a request for the main log.
func headCheck(id, section string, level Level, text string, status int, start, end int64) check {
	return check{id, section, level, text, func(e *env) error {
		a, err := e.entries(e.logs[copyLog].head(start, end, nil))
		switch {
		case err != nil:
			return err
		case status == 0:
			return a.refused()
		}
		return a.want(status)
	}}
}

func headChecks() []check {
	return []check{
		{"unknown-log", sectionProcess, Must, "404 for a log that is not known", func(e *env) error {
			p, err := newPlayer(e.t.Seed, "unknown")
			if err != nil {
				return err
			}
			_, err = e.upload(p, 0, 10, -1, http.StatusNotFound)
			return err
		}},
		headCheck("end-unknown", sectionProcess, Must, "409 where upload_end is no pending size", http.StatusConflict, 0, 699),
		headCheck("end-beyond", sectionProcess, Must, "409 where upload_end is above the pending size", http.StatusConflict, 0, 701),
		headCheck("end-huge", sectionProcess, Extra, "4xx where upload_end is 2^63-1", 0, 0, 1<<63-1),
		headCheck("end-negative", sectionProcess, Extra, "4xx where upload_end is 2^64-1", 0, 0, -1),
		headCheck("start-beyond", sectionProcess, Must, "409 where upload_start is above the next entry", http.StatusConflict, 1, 700),
		headCheck("start-above-end", sectionBody, Must, "upload_start is at most upload_end: 4xx otherwise", 0, 2, 1),
		{"info-type", sectionProcess, Must, "409 has the Content-Type text/x.tlog.mirror-info, and three lines", func(e *env) error {
			_, err := e.next(e.logs[copyLog])
			return err
		}},
		{"info-next", sectionProcess, Must, "the second line is the next entry", func(e *env) error { return e.nextWants(e.logs[copyLog], 0) }},
		{"info-size", sectionProcess, Should, "the first line is upload_end where that was valid, and the pending size where it was not", func(e *env) error {
			for _, end := range []int64{700, 699} {
				a, err := e.entries(e.logs[copyLog].head(end, end, nil))
				if err != nil {
					return err
				}
				if i, err := a.info(); err != nil || i.size != 700 {
					return fmt.Errorf("upload_end %d: %d, %w", end, i.size, err)
				}
			}
			return nil
		}},
		{"forged-ticket", sectionProcess, Must, "what a ticket says is authenticated: 409 for an unknown upload_end with a ticket that was changed", func(e *env) error {
			p := e.logs[copyLog]
			i, err := e.next(p)
			if err != nil {
				return err
			}
			tickets := [][]byte{[]byte("ticket")}
			if n := len(i.ticket); n > 0 {
				changed := slices.Clone(i.ticket)
				changed[n/2] ^= 1
				tickets = append(tickets, changed)
			}
			for _, t := range tickets {
				if err := e.entriesWant(p.head(0, 699, t), http.StatusConflict); err != nil {
					return err
				}
			}
			return nil
		}},
		{"content-type", sectionBody, Must, "the Content-Type is application/octet-stream: 4xx otherwise", func(e *env) error {
			b, err := e.logs[copyLog].body(0, 700, 1)
			if err != nil {
				return err
			}
			a, err := e.send(http.MethodPost, e.t.URL+"/add-entries", http.Header{"Content-Type": {"text/plain"}}, b)
			if err != nil {
				return err
			}
			return a.refused()
		}},
		{"accept-encoding", sectionBody, Should, "answers have an Accept-Encoding header that includes gzip", func(e *env) error {
			a, err := e.entries(e.logs[copyLog].head(1, 700, nil))
			if err == nil && !slices.Contains(a.header.Values("Accept-Encoding"), "gzip") {
				err = fmt.Errorf("it is %q", a.header.Values("Accept-Encoding"))
			}
			return err
		}},
		{"early-answer", sectionProcess, Should, "errors are answered without waiting for the whole body", func(e *env) error {
			s := e.stream()
			s.send(e.logs[copyLog].head(1, 700, nil))
			a, err := s.early(patience)
			if err != nil {
				return err
			}
			_, _ = s.end()
			return a.want(http.StatusConflict)
		}},
		{"no-body", sectionProcess, Must, "400 for an empty body", func(e *env) error { return e.entriesWant(nil, http.StatusBadRequest) }},
		{"cut-head", sectionProcess, Must, "400 where the body ends before the packages begin", func(e *env) error {
			for _, n := range []int{1, 5, 30} {
				if err := e.entriesWant(e.logs[copyLog].head(0, 700, nil)[:n], http.StatusBadRequest); err != nil {
					return fmt.Errorf("after %d bytes: %w", n, err)
				}
			}
			return nil
		}},
		{"no-package", sectionProcess, Must, "400 where there is no package and there should be", func(e *env) error {
			return e.entriesWant(e.logs[copyLog].head(0, 700, nil), http.StatusBadRequest)
		}},
		{"cut-package", sectionProcess, Must, "400 where the first package is cut", func(e *env) error {
			p := e.logs[copyLog]
			b, err := p.body(0, 700, 1)
			if err != nil {
				return err
			}
			for _, n := range []int{len(p.head(0, 700, nil)) + 1, len(b) / 2, len(b) - 1} {
				if err := e.entriesWant(b[:n], http.StatusBadRequest); err != nil {
					return fmt.Errorf("after %d bytes: %w", n, err)
				}
			}
			return nil
		}},
	}
}

// brokenCheck sends the first package of a log with something changed.
func brokenCheck(id string, status int, text string, change func(p *player, k *pack) error) check {
	return check{"package-" + id, sectionProcess, Must, text, func(e *env) error {
		p := e.logs[brokenLog]
		packs, err := p.packs(p.main, 0, 1000)
		if err != nil {
			return err
		}
		if err := change(p, &packs[0]); err != nil {
			return err
		}
		a, err := e.entries(append(p.head(0, 1000, nil), packs[0].marshal()...))
		switch {
		case err != nil:
			return err
		case status == 0:
			return a.refused()
		}
		return a.want(status)
	}}
}

func packageChecks() []check {
	return []check{
		brokenCheck("entry", http.StatusUnprocessableEntity, "422 for an entry with a bit changed", func(_ *player, k *pack) error {
			k.entries[len(k.entries)-1] ^= 1
			return nil
		}),
		brokenCheck("proof", http.StatusUnprocessableEntity, "422 for a proof with a hash changed", func(_ *player, k *pack) error {
			k.proof[0][0] ^= 1
			return nil
		}),
		brokenCheck("short", http.StatusUnprocessableEntity, "422 for a proof with a hash missing", func(_ *player, k *pack) error {
			k.proof = k.proof[1:]
			return nil
		}),
		brokenCheck("long", http.StatusUnprocessableEntity, "422 for a proof with a hash more", func(_ *player, k *pack) error {
			k.proof = append(k.proof, tlog.Hash{})
			return nil
		}),
		brokenCheck("none", http.StatusUnprocessableEntity, "422 for no proof", func(_ *player, k *pack) error {
			k.proof = nil
			return nil
		}),
		brokenCheck("64", 0, "num_hashes is at most 63: 4xx for 64", func(_ *player, k *pack) error {
			k.proof = make([]tlog.Hash, 64)
			return nil
		}),
		brokenCheck("history", http.StatusUnprocessableEntity, "422 for entries of another history, with that one's proof", func(p *player, k *pack) error {
			other, err := p.packs(p.fork(7, 1), 0, 1000)
			*k = other[0]
			return err
		}),
		{"package-order", sectionProcess, Must, "422 for the second package in place of the first", func(e *env) error {
			p := e.logs[brokenLog]
			packs, err := p.packs(p.main, 0, 1000)
			if err != nil {
				return err
			}
			return e.entriesWant(append(p.head(0, 1000, nil), packs[1].marshal()...), http.StatusUnprocessableEntity)
		}},
		{"package-unsaved", sectionProcess, Must, "nothing of these was saved: the next entry is the first", func(e *env) error { return e.nextWants(e.logs[brokenLog], 0) }},
		{"package-second", sectionProcess, Must, "422 where the first package holds and the second does not", func(e *env) error {
			p := e.logs[brokenLog]
			packs, err := p.packs(p.main, 0, 1000)
			if err != nil {
				return err
			}
			packs[1].proof[0][0] ^= 1
			return e.entriesWant(slices.Concat(p.head(0, 1000, nil), packs[0].marshal(), packs[1].marshal(), packs[2].marshal()), http.StatusUnprocessableEntity)
		}},
		{"package-stop", sectionProcess, Must, "and nothing after it was saved", func(e *env) error {
			i, err := e.next(e.logs[brokenLog])
			if err == nil && i.next > 256 {
				err = fmt.Errorf("the next entry is %d", i.next)
			}
			return err
		}},
	}
}
