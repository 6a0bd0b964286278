package conformance

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"vitrine.example/tlog"
)

const sectionSubtree = "sign-subtree"

// subtreeCheck makes a check that begins with a good request for [8, 13).
func subtreeCheck(id string, level Level, status int, text string, change func(e *env, q *tlog.SignSubtree) error) check {
	return check{"subtree-" + id, sectionSubtree, level, text, func(e *env) error {
		q, err := e.subtreeRequest(8, 13)
		if err != nil {
			return err
		}
		if len(q.Proof) == 0 {
			return errors.New("the witness has cosigned nothing that is large enough")
		}
		if err := change(e, q); err != nil {
			return err
		}
		return e.subtreeWants(q.Marshal(), status)
	}}
}

// subtreeText makes a check that changes the text of a good request.
func subtreeText(id, text, from, to string) check {
	return check{"subtree-" + id, sectionSubtree, Must, "400: " + text, func(e *env) error {
		q, err := e.subtreeRequest(8, 13)
		if err != nil {
			return err
		}
		return e.subtreeWants([]byte(strings.Replace(string(q.Marshal()), from, to, 1)), http.StatusBadRequest)
	}}
}

func subtreeChecks() []check {
	return []check{
		{"subtree", sectionSubtree, May, "200 and a cosignature on each of some subtrees, the whole tree among them", func(e *env) error {
			size := e.logs[mainLog].size
			for _, r := range [][2]int64{{8, 13}, {0, 1}, {0, size}, {0, 512}, {size - 1, size}, {12, 14}} {
				if _, err := e.subtreeSigned(r[0], r[1]); err != nil {
					return fmt.Errorf("[%d, %d): %w", r[0], r[1], err)
				}
			}
			return nil
		}},
		{"subtree-ml-dsa", sectionSubtree, Should, "the signature is one by an ML-DSA-44 key that signed the checkpoint", func(e *env) error {
			_, err := e.subtreeSigned(8, 13)
			return err
		}},
		{"subtree-time", sectionSubtree, Must, "the timestamp is zero, also where start is zero", func(e *env) error {
			for _, r := range [][2]int64{{0, 8}, {8, 16}} {
				if s, err := e.subtreeSigned(r[0], r[1]); err != nil {
					return err
				} else if s != 0 {
					return fmt.Errorf("timestamp %d", s)
				}
			}
			return nil
		}},
		subtreeText("invalid", "an interval that is no subtree", "subtree 8 13", "subtree 4 13"),
		subtreeText("empty", "an empty interval", "subtree 8 13", "subtree 8 8"),
		subtreeText("backwards", "end before start", "subtree 8 13", "subtree 13 8"),
		subtreeText("beyond", "an end above the size of the checkpoint", "subtree 8 13", "subtree 0 1000000"),
		subtreeText("start-zeros", "leading zeros in start", "subtree 8 13", "subtree 08 13"),
		subtreeText("end-zeros", "leading zeros in end", "subtree 8 13", "subtree 8 013"),
		subtreeText("spaces", "two spaces", "subtree 8 13", "subtree 8  13"),
		subtreeText("one-number", "one number", "subtree 8 13", "subtree 8"),
		subtreeText("crlf", "CRLF after the range", "subtree 8 13\n", "subtree 8 13\r\n"),
		subtreeText("proof-64", "64 proof lines", "\n\n", "\n"+strings.Repeat(hash64+"\n", 64)+"\n"),
		subtreeCheck("wrong-hash", Must, http.StatusUnprocessableEntity, "422 for another hash of the subtree", func(_ *env, q *tlog.SignSubtree) error {
			q.Subtree.Hash[0] ^= 1
			return nil
		}),
		subtreeCheck("wrong-proof", Must, http.StatusUnprocessableEntity, "422 for a proof with a hash changed", func(_ *env, q *tlog.SignSubtree) error {
			q.Proof[0][0] ^= 1
			return nil
		}),
		subtreeCheck("short-proof", Must, http.StatusUnprocessableEntity, "422 for a proof with a hash missing", func(_ *env, q *tlog.SignSubtree) error {
			q.Proof = q.Proof[:len(q.Proof)-1]
			return nil
		}),
		subtreeCheck("unknown-origin", Must, http.StatusNotFound, "404 for an origin that is not known", func(_ *env, q *tlog.SignSubtree) error {
			q.Checkpoint.Origin = "unknown.test/log"
			return nil
		}),
		subtreeCheck("not-cosigned", Must, http.StatusForbidden, "403 where the witness has not cosigned the checkpoint", func(e *env, q *tlog.SignSubtree) error {
			own := e.logs[mainLog].signers[0].Verifier()
			for _, s := range q.Checkpoint.Signatures {
				if s.Name == own.Name() && s.KeyID == own.KeyID() {
					q.Checkpoint.Signatures = []tlog.Signature{s}
				}
			}
			return nil
		}),
		subtreeCheck("wrong-cosignature", Must, http.StatusForbidden, "403 where the witness's cosignatures do not verify", func(_ *env, q *tlog.SignSubtree) error {
			for i, s := range q.Checkpoint.Signatures {
				q.Checkpoint.Signatures[i] = spoilt(s)
			}
			return nil
		}),
		{"subtree-method", sectionSubtree, Must, "requests are POST: GET is refused with 4xx", func(e *env) error {
			if _, err := e.subtreeSigned(8, 13); err != nil {
				return err
			}
			a, err := e.do(http.MethodGet, e.t.URL+"/sign-subtree", nil)
			if err != nil {
				return err
			}
			return a.refused()
		}},
	}
}

// subtreeRequest makes a good request under the latest cosigned checkpoint.
func (e *env) subtreeRequest(start, end int64) (*tlog.SignSubtree, error) {
	p := e.logs[mainLog]
	if p.last == nil || p.last.Size != p.size || len(p.last.Extensions) > 0 {
		if err := e.grow(p, 1); err != nil {
			return nil, err
		}
	}
	if err := p.main.reach(p.size); err != nil {
		return nil, err
	}
	s, err := tlog.ReadSubtree(start, end, p.main.t)
	if err != nil {
		return nil, err
	}
	proof, err := s.Prove(p.size, p.main.t)
	if err != nil {
		return nil, err
	}
	c := *p.last
	c.Signatures = append([]tlog.Signature(nil), c.Signatures...)
	return &tlog.SignSubtree{Subtree: s, Proof: proof, Checkpoint: &c}, nil
}

// subtreeAnswer sends a request. A witness that does not serve good ones does
// not offer the call.
func (e *env) subtreeAnswer(body []byte) (*answer, error) {
	q, err := e.subtreeRequest(8, 13)
	if err != nil {
		return nil, err
	}
	a, err := e.post("sign-subtree", q.Marshal())
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed || a.status == http.StatusNotImplemented {
		return nil, errUnsupported
	}
	return e.post("sign-subtree", body)
}

func (e *env) subtreeWants(body []byte, status int) error {
	a, err := e.subtreeAnswer(body)
	if err != nil {
		return err
	}
	return a.want(status)
}

// subtreeSigned asks for a good subtree, verifies the answer and returns the
// time in it.
func (e *env) subtreeSigned(start, end int64) (int64, error) {
	q, err := e.subtreeRequest(start, end)
	if err != nil {
		return 0, err
	}
	a, err := e.subtreeAnswer(q.Marshal())
	if err != nil {
		return 0, err
	}
	if err := a.want(http.StatusOK); err != nil {
		return 0, err
	}
	sigs, err := tlog.ParseSignatures(a.body)
	if err != nil {
		return 0, err
	}
	for _, k := range e.t.Keys {
		if k.Type() != tlog.MLDSA44Cosignature {
			continue
		}
		t, err := k.VerifySubtree(q.Checkpoint.Origin, q.Subtree, sigs)
		if err != nil || t.IsZero() {
			return 0, err
		}
		return t.Unix(), nil
	}
	return 0, errUnsupported
}
