package conformance

import (
	"errors"
	"fmt"
	"net/http"
	"sync"

	"vitrine.example/tlog"
)

// rivals is how many requests race.
const rivals = 8

func raceChecks() []check {
	return []check{
		{"race", sectionAdd, Must, "of requests that start at once from one old size, to sizes that differ, exactly one is cosigned", func(e *env) error {
			for range 5 {
				if err := e.race(func(p *player, i int) (*history, int64) { return p.main, p.size + 1 + int64(i) }, 1); err != nil {
					return err
				}
			}
			return nil
		}},
		{"race-histories", sectionAdd, Must, "the same where each request shows another history", func(e *env) error {
			for range 5 {
				err := e.race(func(p *player, i int) (*history, int64) { return p.fork(p.size, i+1), p.size + 1 + int64(i) }, 1)
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"race-same", sectionAdd, Must, "of equal requests one is cosigned, and others that are cosigned too are cosigned for the same tree", func(e *env) error {
			return e.race(func(p *player, _ int) (*history, int64) { return p.main, p.size + 1 }, rivals)
		}},
		{"rollback", sectionAdd, Must, "a request that was cosigned before is answered 409 once the log has grown", func(e *env) error {
			p := e.logs[raceLog]
			early, err := p.next(1)
			if err != nil {
				return err
			}
			if _, err := e.addWants(p, early, http.StatusOK); err != nil {
				return err
			}
			if err := e.grow(p, 1); err != nil {
				return err
			}
			a, err := e.add(early)
			if err != nil {
				return err
			}
			return a.want(http.StatusConflict)
		}},
	}
}

// race sends rival requests at once. At least one and at most so many may be
// cosigned, the others get 409; the log then grows from the winner's tree.
func (e *env) race(rival func(p *player, i int) (h *history, size int64), most int) error {
	p := e.logs[raceLog]
	var requests []*tlog.AddCheckpoint
	var histories []*history
	for i := range rivals {
		h, size := rival(p, i)
		q, err := p.request(h, p.size, size)
		if err != nil {
			return err
		}
		requests, histories = append(requests, q), append(histories, h)
	}
	answers, errs := [rivals]*answer{}, [rivals]error{}
	var wg sync.WaitGroup
	for i, q := range requests {
		wg.Go(func() { answers[i], errs[i] = e.add(q) })
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	won := 0
	for i, a := range answers {
		switch a.status {
		case http.StatusOK:
			won++
			if _, err := e.cosigned(requests[i].Checkpoint.Checkpoint, a); err != nil {
				return err
			}
			p.size, p.main = requests[i].Checkpoint.Size, histories[i]
		case http.StatusConflict:
		default:
			return a.want(http.StatusConflict)
		}
	}
	if won == 0 || won > most {
		return fmt.Errorf("%d of %d were cosigned", won, rivals)
	}
	return e.grow(p, 1)
}

// forkChecks come last: a witness may stop cosigning a log that shows another
// history, and one that gets proofs that do not hold.
func forkChecks() []check {
	return []check{
		{"proof-changed", sectionAdd, Must, "422 for a consistency proof with a hash changed", func(e *env) error {
			return e.badProof(func(p []tlog.Hash) []tlog.Hash { p[0][0] ^= 1; return p })
		}},
		{"proof-short", sectionAdd, Must, "422 for a proof with a hash missing", func(e *env) error {
			return e.badProof(func(p []tlog.Hash) []tlog.Hash { return p[1:] })
		}},
		{"proof-long", sectionAdd, Must, "422 for a proof with a hash more", func(e *env) error {
			return e.badProof(func(p []tlog.Hash) []tlog.Hash { return append(p, tlog.Hash{}) })
		}},
		{"proof-none", sectionAdd, Must, "422 for no proof", func(e *env) error {
			return e.badProof(func([]tlog.Hash) []tlog.Hash { return nil })
		}},
		{"proof-63", sectionAdd, Must, "63 lines of proof are read: 422, as they do not verify", func(e *env) error {
			return e.badProof(func([]tlog.Hash) []tlog.Hash { return make([]tlog.Hash, tlog.MaxPath) })
		}},
		{"equal-proof", sectionAdd, Must, "422 for a proof that is not empty where the sizes are equal", func(e *env) error {
			p := e.logs[badLog]
			q, err := p.next(0)
			if err != nil {
				return err
			}
			q.Proof = []tlog.Hash{{}}
			_, err = e.addWants(p, q, http.StatusUnprocessableEntity)
			return err
		}},
		{"proof-unmoved", sectionAdd, Must, "a proof that does not hold has not changed the state", func(e *env) error { return e.grow(e.logs[badLog], 40) }},
		{"fork-larger", sectionAdd, Must, "422 for a larger checkpoint of another history, with that one's proof", func(e *env) error {
			p := e.logs[forkLog]
			if err := e.grow(p, 9); err != nil {
				return err
			}
			q, err := p.request(p.fork(3, 1), 9, 12)
			if err != nil {
				return err
			}
			_, err = e.addWants(p, q, http.StatusUnprocessableEntity)
			return err
		}},
		{"fork-equal", sectionAdd, Must, "422 for a checkpoint of the same size and another root", func(e *env) error {
			p := e.logs[forkLog]
			q, err := p.request(p.fork(3, 1), p.size, p.size)
			if err != nil {
				return err
			}
			_, err = e.addWants(p, q, http.StatusUnprocessableEntity)
			return err
		}},
		{"fork-unsigned", sectionMonitor, Must, "the other history was not cosigned: the checkpoint served is the first one", func(e *env) error {
			c, err := e.served(forkLog)
			if err != nil {
				return err
			}
			want, err := e.logs[forkLog].main.root(9)
			if err == nil && (c.Size != 9 || c.Root != want) {
				err = fmt.Errorf("size %d, root %v", c.Size, c.Root)
			}
			return err
		}},
		{"fork-size", sectionAdd, Must, "and the latest size is as before: 409 to old size zero", func(e *env) error {
			p := e.logs[forkLog]
			q, err := p.request(p.main, 0, p.size)
			if err != nil {
				return err
			}
			a, err := e.addWants(p, q, http.StatusConflict)
			if err != nil {
				return err
			}
			n, err := tlog.ParseSize(a.body)
			if err == nil && n != p.size {
				err = fmt.Errorf("size %d, want %d", n, p.size)
			}
			return err
		}},
	}
}

// badProof spoils the proof of a good request. The log has at least 5 entries.
func (e *env) badProof(change func([]tlog.Hash) []tlog.Hash) error {
	p := e.logs[badLog]
	if p.size == 0 {
		if err := e.grow(p, 5); err != nil {
			return err
		}
	}
	q, err := p.next(6)
	if err != nil {
		return err
	}
	q.Proof = change(q.Proof)
	_, err = e.addWants(p, q, http.StatusUnprocessableEntity)
	return err
}
