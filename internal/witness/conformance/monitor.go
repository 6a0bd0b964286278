package conformance

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"vitrine.example/tlog"
)

const sectionMonitor = "Monitor Retrieval Mechanism"

func monitorChecks() []check {
	return []check{
		{"monitor", sectionMonitor, Should, "a checkpoint of a log that was cosigned is served", func(e *env) error {
			_, err := e.served(mainLog)
			if errors.Is(err, errUnsupported) {
				return errors.New("404")
			}
			return err
		}},
		{"monitor-log", sectionMonitor, Must, "with the signature of the log that the witness verified", func(e *env) error {
			c, err := e.served(mainLog)
			if err != nil {
				return err
			}
			_, err = e.logs[mainLog].signers[0].Verifier().Verify(c)
			return err
		}},
		{"monitor-witness", sectionMonitor, Must, "and the cosignatures of the witness's keys that were returned", func(e *env) error {
			c, err := e.served(mainLog)
			if err != nil {
				return err
			}
			times, err := verified(e.t.Keys, c)
			if err == nil && len(times) != len(e.t.Keys) {
				err = fmt.Errorf("%d of %d keys", len(times), len(e.t.Keys))
			}
			return err
		}},
		{"monitor-both-keys", sectionMonitor, Must, "of a log with several keys, the signatures that were verified are all there", func(e *env) error {
			c, err := e.served(keysLog)
			if err != nil {
				return err
			}
			for _, s := range e.logs[keysLog].signers {
				if _, err := s.Verifier().Verify(c); err != nil {
					return err
				}
			}
			return nil
		}},
		{"monitor-true", sectionMonitor, Must, "it is a checkpoint that was cosigned", func(e *env) error {
			c, err := e.served(mainLog)
			if err != nil {
				return err
			}
			want, err := e.logs[mainLog].main.root(c.Size)
			if err == nil && (c.Size > e.logs[mainLog].size || c.Root != want) {
				err = fmt.Errorf("size %d with root %v", c.Size, c.Root)
			}
			return err
		}},
		{"monitor-latest", sectionMonitor, May, "it is the latest one at once (an hour's delay is allowed)", func(e *env) error {
			if err := e.alive(); err != nil {
				return err
			}
			c, err := e.served(mainLog)
			if err == nil && c.Size != e.logs[mainLog].size {
				return errUnsupported
			}
			return err
		}},
		{"monitor-zero", sectionMonitor, Should, "also one of size zero", func(e *env) error {
			if _, err := e.served(mainLog); err != nil {
				return err
			}
			return e.monitored(http.MethodGet, e.logs[zeroLog].originHash(), http.StatusOK)
		}},
		{"monitor-unknown", sectionMonitor, Must, "404 for a log that is not known", func(e *env) error {
			return e.monitored(http.MethodGet, strings.Repeat("0", 64), http.StatusNotFound)
		}},
		{"monitor-case", sectionMonitor, Extra, "the origin hash is in lower case: 404 otherwise", func(e *env) error {
			return e.monitored(http.MethodGet, strings.ToUpper(e.logs[mainLog].originHash()), http.StatusNotFound)
		}},
		{"monitor-method", sectionMonitor, Must, "requests are GET: POST is refused with 4xx", func(e *env) error {
			a, err := e.do(http.MethodPost, e.t.Monitoring+"/"+e.logs[mainLog].originHash()+"/checkpoint", nil)
			if err != nil {
				return err
			}
			return a.refused()
		}},
	}
}

func (e *env) monitored(method, hash string, status int) error {
	a, err := e.do(method, e.t.Monitoring+"/"+hash+"/checkpoint", nil)
	if err != nil {
		return err
	}
	return a.want(status)
}

// served reads the checkpoint that the witness serves. To serve one is a SHOULD:
// what is asked of it is not asked of a witness that does not.
func (e *env) served(name string) (*tlog.SignedCheckpoint, error) {
	a, err := e.do(http.MethodGet, e.t.Monitoring+"/"+e.logs[name].originHash()+"/checkpoint", nil)
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusNotFound {
		return nil, errUnsupported
	}
	if err := a.want(http.StatusOK); err != nil {
		return nil, err
	}
	c, err := tlog.ParseCheckpoint(a.body)
	if err == nil && c.Origin != e.logs[name].origin {
		err = errors.New("of another log")
	}
	return c, err
}
