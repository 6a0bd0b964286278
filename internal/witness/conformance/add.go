package conformance

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"time"

	"vitrine.example/tlog"
)

const sectionAdd = "add-checkpoint"

// fresh is how far the time of a cosignature may be from ours.
const fresh = 5 * time.Minute

// firstChecks are played on logs that were never cosigned.
func firstChecks() []check {
	return []check{
		{"monitor-never", sectionMonitor, Must, "404 for a log of which no checkpoint was cosigned", func(e *env) error {
			a, err := e.do(http.MethodGet, e.t.Monitoring+"/"+e.logs[emptyLog].originHash()+"/checkpoint", nil)
			if err != nil {
				return err
			}
			return a.want(http.StatusNotFound)
		}},
		{"zero-wrong-root", sectionAdd, Must, "422 for a checkpoint of size zero with another root than that of the empty tree", func(e *env) error {
			p := e.logs[zeroLog]
			return refusedCheckpoint(e, p, tlog.Checkpoint{Origin: p.origin, Root: tlog.Hash{1}}, 0, http.StatusUnprocessableEntity)
		}},
		{"zero-cosigned", sectionAdd, Must, "a checkpoint of size zero with the root of the empty tree is cosigned", func(e *env) error {
			return e.grow(e.logs[zeroLog], 0)
		}},
		{"zero-again", sectionAdd, Must, "and again, the old size being zero", func(e *env) error { return e.grow(e.logs[zeroLog], 0) }},
		{"old-zero-proof", sectionAdd, Must, "422 for a proof that is not empty where the old size is zero", func(e *env) error {
			p := e.logs[mainLog]
			q, err := p.request(p.main, 0, 5)
			if err != nil {
				return err
			}
			q.Proof = []tlog.Hash{{1}}
			_, err = e.addWants(p, q, http.StatusUnprocessableEntity)
			return err
		}},
		{First, sectionAdd, Must, "200 and cosignatures for the first checkpoint, from old size zero", func(e *env) error { return e.grow(e.logs[mainLog], 5) }},
	}
}

// refusedCheckpoint sends a checkpoint that the log's key has signed although
// package tlog would not.
func refusedCheckpoint(e *env, p *player, c tlog.Checkpoint, old int64, status int) error {
	s := &tlog.SignedCheckpoint{Checkpoint: c, Signatures: []tlog.Signature{p.rawSign(c.Text())}}
	_, err := e.addWants(p, &tlog.AddCheckpoint{Old: old, Checkpoint: s}, status)
	return err
}

// grow sends a good request and verifies the cosignatures.
func (e *env) grow(p *player, n int64) error {
	_, err := e.grown(p, n)
	return err
}

func (e *env) grown(p *player, n int64) (map[tlog.KeyType]time.Time, error) {
	q, err := p.next(n)
	if err != nil {
		return nil, err
	}
	a, err := e.addWants(p, q, http.StatusOK)
	if err != nil {
		return nil, err
	}
	return e.cosigned(q.Checkpoint.Checkpoint, a)
}

func addChecks() []check {
	return []check{
		{"grow", sectionAdd, Must, "200 and cosignatures for a larger checkpoint with a consistency proof", func(e *env) error { return e.grow(e.logs[mainLog], 8) }},
		{"grow-by-one", sectionAdd, Must, "the same for each step of sizes 13 to 34", func(e *env) error {
			for range 21 {
				if err := e.grow(e.logs[mainLog], 1); err != nil {
					return err
				}
			}
			return nil
		}},
		{"grow-far", sectionAdd, Must, "the same for a step to size 1,000", func(e *env) error { return e.grow(e.logs[mainLog], 1000-e.logs[mainLog].size) }},
		{"equal", sectionAdd, Must, "200 where the old size is that of the checkpoint, and the roots are the same", func(e *env) error { return e.grow(e.logs[mainLog], 0) }},
		{"answer-lines", sectionAdd, Must, "the answer is signature lines, each ending in a newline", func(e *env) error {
			return e.good(func(a *answer, _ *tlog.AddCheckpoint) error {
				_, err := tlog.ParseSignatures(a.body)
				return err
			})
		}},
		{"all-keys", sectionAdd, Must, "the signatures are cosignatures from the witness's keys: each one given signs the whole tree", func(e *env) error {
			times, err := e.grown(e.logs[mainLog], 1)
			if err == nil && len(times) != len(e.t.Keys) {
				err = fmt.Errorf("%d of %d keys have signed", len(times), len(e.t.Keys))
			}
			return err
		}},
		{"ml-dsa", sectionAdd, Should, "an ML-DSA-44 cosignature is among them", func(e *env) error {
			times, err := e.grown(e.logs[mainLog], 1)
			if err == nil && times[tlog.MLDSA44Cosignature].IsZero() {
				err = errors.New("none")
			}
			return err
		}},
		{"timestamp", sectionAdd, Must, "the timestamp is not zero", func(e *env) error {
			return e.times(func(t time.Time) error {
				if t.IsZero() {
					return errors.New("zero")
				}
				return nil
			})
		}},
		{"timestamp-now", "tlog-cosignature, Format", Must, "the timestamp is the time of signing (within 5 minutes of ours)", func(e *env) error {
			return e.times(func(t time.Time) error {
				if d := e.t.Now().Sub(t).Abs(); d > fresh {
					return fmt.Errorf("%v, which is %v away", t, d)
				}
				return nil
			})
		}},
		{"unknown-origin", sectionAdd, Must, "404 for an origin that is not known", func(e *env) error {
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
		{"no-known-signature", sectionAdd, Must, "403 where no key that is trusted for the origin has signed", func(e *env) error {
			return e.signed(http.StatusForbidden, func(_ tlog.Signature, stranger tlog.Signature) []tlog.Signature {
				return []tlog.Signature{stranger}
			})
		}},
		{"wrong-signature", sectionAdd, Must, "403 where name and ID are those of a trusted key and the signature does not verify", func(e *env) error {
			return e.signed(http.StatusForbidden, func(good, _ tlog.Signature) []tlog.Signature { return []tlog.Signature{spoilt(good)} })
		}},
		{"short-signature", sectionAdd, Must, "403 where the signature of a trusted key has the wrong length", func(e *env) error {
			return e.signed(http.StatusForbidden, func(good, _ tlog.Signature) []tlog.Signature {
				good.Bytes = good.Bytes[:63]
				return []tlog.Signature{good}
			})
		}},
		{"unknown-signatures", sectionAdd, Must, "signatures of unknown keys are ignored, before and after that of the log", func(e *env) error {
			return e.signed(http.StatusOK, func(good, stranger tlog.Signature) []tlog.Signature {
				return []tlog.Signature{stranger, good, stranger}
			})
		}},
		{"unknown-same-name", sectionAdd, Must, "also those that bear the log's name and another key ID", func(e *env) error {
			return e.signed(http.StatusOK, func(good, _ tlog.Signature) []tlog.Signature {
				other := spoilt(good)
				other.KeyID ^= 1
				return []tlog.Signature{other, good}
			})
		}},
		{"sixteen-signatures", "signed-note, Format", Must, "at least 16 signatures are accepted", func(e *env) error {
			return e.signed(http.StatusOK, func(good, stranger tlog.Signature) []tlog.Signature {
				return append(slices.Repeat([]tlog.Signature{stranger}, 15), good)
			})
		}},
		{"own-cosignature", sectionAdd, Must, "a checkpoint that bears the witness's own cosignatures is cosigned", func(e *env) error {
			p := e.logs[mainLog]
			if err := e.grow(p, 1); err != nil {
				return err
			}
			a, err := e.addWants(p, &tlog.AddCheckpoint{Old: p.size, Checkpoint: p.last}, http.StatusOK)
			if err != nil {
				return err
			}
			_, err = e.cosigned(p.last.Checkpoint, a)
			return err
		}},
		{"two-keys", sectionAdd, Must, "a checkpoint with several signatures of trusted keys is cosigned", func(e *env) error { return e.twoKeys(http.StatusOK, false) }},
		{"two-keys-one-bad", sectionAdd, Must, "403 where one trusted key has signed and another's signature does not verify", func(e *env) error {
			return e.twoKeys(http.StatusForbidden, true)
		}},
		{"extension", "tlog-cosignature, Ed25519", Must, "extension lines, where the log has them, are included in the signed message", func(e *env) error {
			p := e.logs[mainLog]
			c, err := p.checkpoint(p.main, p.size)
			if err != nil {
				return err
			}
			c.Extensions = []string{"an extension line"}
			s, err := p.sign(c)
			if err != nil {
				return err
			}
			a, err := e.addWants(p, &tlog.AddCheckpoint{Old: p.size, Checkpoint: s}, http.StatusOK)
			if err != nil {
				return err
			}
			sigs, err := tlog.ParseSignatures(a.body)
			if err != nil {
				return err
			}
			for _, k := range e.t.Keys {
				if k.Type() == tlog.Ed25519Cosignature {
					_, err := k.Verify(&tlog.SignedCheckpoint{Checkpoint: c, Signatures: sigs})
					return err
				}
			}
			return errUnsupported
		}},
		{"old-above", sectionAdd, Must, "400 where the old size is above that of the checkpoint", func(e *env) error {
			p := e.logs[mainLog]
			return e.sizes(p.size, p.size-1, http.StatusBadRequest)
		}},
		{"old-behind", sectionAdd, Must, "409 where the old size is not the latest", func(e *env) error {
			p := e.logs[mainLog]
			return e.sizes(p.size-1, p.size+1, http.StatusConflict)
		}},
		{"old-ahead", sectionAdd, Must, "409 also where it is ahead", func(e *env) error {
			p := e.logs[mainLog]
			return e.sizes(p.size+1, p.size+2, http.StatusConflict)
		}},
		{"old-zero", sectionAdd, Must, "409 to the old size zero, by which clients ask for the latest", func(e *env) error {
			p := e.logs[mainLog]
			return e.sizes(0, p.size, http.StatusConflict)
		}},
		{"conflict-body", sectionAdd, Must, "the body of 409 is the size of the latest checkpoint in decimal and a newline", func(e *env) error {
			return e.conflict(func(a *answer) error {
				n, err := tlog.ParseSize(a.body)
				if err == nil && n != e.logs[mainLog].size {
					err = fmt.Errorf("%d, want %d", n, e.logs[mainLog].size)
				}
				return err
			})
		}},
		{"conflict-type", sectionAdd, Must, "the Content-Type of 409 is text/x.tlog.size", func(e *env) error {
			return e.conflict(func(a *answer) error {
				if got := a.header.Get("Content-Type"); got != tlog.SizeType {
					return fmt.Errorf("%q", got)
				}
				return nil
			})
		}},
		{"unknown-before-signature", sectionAdd, Extra, "409 tells the size to nobody who cannot show a signature of the log", func(e *env) error {
			p := e.logs[mainLog]
			q, err := p.request(p.main, 0, p.size)
			if err != nil {
				return err
			}
			q.Checkpoint.Signatures[0] = spoilt(q.Checkpoint.Signatures[0])
			_, err = e.addWants(p, q, http.StatusForbidden)
			return err
		}},
		{"method", sectionAdd, Must, "requests are POST: GET, PUT and HEAD are refused", func(e *env) error {
			for _, m := range []string{http.MethodGet, http.MethodPut, http.MethodHead} {
				q, err := e.logs[mainLog].next(0)
				if err != nil {
					return err
				}
				a, err := e.do(m, e.t.URL+"/add-checkpoint", q.Marshal())
				if err != nil {
					return err
				}
				if err := a.refused(); err != nil {
					return fmt.Errorf("%s: %w", m, err)
				}
			}
			return nil
		}},
		{"keep-alive", "HTTP Interface", Should, "connections are kept alive", keepAlive},
	}
}

func spoilt(s tlog.Signature) tlog.Signature {
	s.Bytes = slices.Clone(s.Bytes)
	s.Bytes[len(s.Bytes)/2] ^= 1
	return s
}

// good sends a good request and looks at the answer.
func (e *env) good(f func(*answer, *tlog.AddCheckpoint) error) error {
	p := e.logs[mainLog]
	q, err := p.next(1)
	if err != nil {
		return err
	}
	a, err := e.addWants(p, q, http.StatusOK)
	if err != nil {
		return err
	}
	return f(a, q)
}

func (e *env) times(f func(time.Time) error) error {
	times, err := e.grown(e.logs[mainLog], 1)
	if err != nil {
		return err
	}
	for typ, t := range times {
		if err := f(t); err != nil {
			return fmt.Errorf("%s: %w", typ, err)
		}
	}
	return nil
}

// signed sends a checkpoint under signature lines that are made of a good one
// and a stranger's.
func (e *env) signed(status int, lines func(good, stranger tlog.Signature) []tlog.Signature) error {
	p := e.logs[mainLog]
	q, err := p.next(1)
	if err != nil {
		return err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	other, err := tlog.NewSigner(p.origin, tlog.Ed25519, key, nil)
	if err != nil {
		return err
	}
	stranger, err := other.SignCheckpoint(q.Checkpoint.Checkpoint)
	if err != nil {
		return err
	}
	stranger.Name = "stranger.test"
	q.Checkpoint.Signatures = lines(q.Checkpoint.Signatures[0], stranger)
	_, err = e.addWants(p, q, status)
	return err
}

// sizes sends a checkpoint of one size with another as the old one; the proof is
// good where there can be one.
func (e *env) sizes(old, size int64, status int) error {
	p := e.logs[mainLog]
	q, err := p.request(p.main, min(old, size), size)
	if err != nil {
		return err
	}
	q.Old = old
	_, err = e.addWants(p, q, status)
	return err
}

func (e *env) conflict(f func(*answer) error) error {
	p := e.logs[mainLog]
	q, err := p.request(p.main, p.size-1, p.size+1)
	if err != nil {
		return err
	}
	a, err := e.addWants(p, q, http.StatusConflict)
	if err != nil {
		return err
	}
	return f(a)
}

// twoKeys signs by both keys of a log that has two.
func (e *env) twoKeys(status int, bad bool) error {
	p := e.logs[keysLog]
	c, err := p.checkpoint(p.main, p.size+3)
	if err != nil {
		return err
	}
	proof, err := p.main.prove(p.size, c.Size)
	if err != nil {
		return err
	}
	s, err := signWith(c, p.signers...)
	if err != nil {
		return err
	}
	if bad {
		s.Signatures[1] = spoilt(s.Signatures[1])
	}
	_, err = e.addWants(p, &tlog.AddCheckpoint{Old: p.size, Proof: proof, Checkpoint: s}, status)
	return err
}

// keepAlive sends two requests and looks whether the second one came by the same
// connection.
func keepAlive(e *env) error {
	reused := false
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
	other := *e
	other.ctx = httptrace.WithClientTrace(context.WithoutCancel(e.ctx), trace)
	for range 2 {
		if err := other.grow(other.logs[mainLog], 1); err != nil {
			return err
		}
	}
	if !reused {
		return errors.New("the second request needed a connection of its own")
	}
	return nil
}
