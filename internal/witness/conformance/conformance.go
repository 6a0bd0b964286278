// Package conformance checks a witness or a mirror, ours or any other, against
// C2SP tlog-witness and tlog-mirror over HTTP.
//
// [Logs] gives the logs that the witness is to be configured with, made from a
// seed; [Run] plays them and reports on each MUST and SHOULD of the text by
// name. [MirrorLogs] and [RunMirror] are the same for a mirror. Logs that were played once are spent: take another seed for another
// run. The suite holds the private keys of its logs, which are good for nothing
// else.
//
// The suite does not stop, restart or reconfigure the witness: that the state
// survives is for whoever runs it to check.
package conformance

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"vitrine.example/tlog"
)

// Target is a witness, or a mirror.
type Target struct {
	URL        string          // the submission prefix
	Monitoring string          // the monitoring prefix; the default is URL
	Keys       []tlog.Verifier // of the witness
	Seed       string          // that its logs were made from
	Client     *http.Client    // the default has a time limit of 30 s
	Now        func() time.Time
}

func (t *Target) complete() error {
	if t.URL == "" || len(t.Keys) == 0 || t.Seed == "" {
		return errors.New("conformance: a witness needs a URL, its verifier keys, and the seed of the logs it was configured with")
	}
	if t.Monitoring == "" {
		t.Monitoring = t.URL
	}
	t.URL, t.Monitoring = strings.TrimSuffix(t.URL, "/"), strings.TrimSuffix(t.Monitoring, "/")
	if t.Client == nil {
		t.Client = &http.Client{Timeout: 30 * time.Second}
	}
	if t.Now == nil {
		t.Now = time.Now
	}
	return nil
}

// NewSeed makes a seed that was not used before.
func NewSeed() string { return strings.ToLower(rand.Text()) }

// Log is a log that the witness must know before [Run].
type Log struct {
	Origin string
	Keys   []tlog.Verifier // both may sign, where there are two
}

// The logs that are played.
const (
	mainLog  = "main"
	emptyLog = "empty" // never cosigned
	zeroLog  = "zero"  // cosigned at size 0
	forkLog  = "fork"  // shows other roots: a witness may stop cosigning it
	badLog   = "bad"   // shows proofs that do not hold
	raceLog  = "race"
	keysLog  = "keys" // has two keys
)

var logNames = []string{mainLog, emptyLog, zeroLog, forkLog, badLog, raceLog, keysLog}

func origin(seed, name string) string {
	return "conformance.test/" + seed + "/" + name
}

// Logs returns the logs to configure a witness with.
func Logs(seed string) ([]Log, error) { return logsOf(seed, logNames) }

func logsOf(seed string, names []string) ([]Log, error) {
	var out []Log
	for _, name := range names {
		l, err := newPlayer(seed, name)
		if err != nil {
			return nil, fmt.Errorf("conformance: %w", err)
		}
		log := Log{Origin: l.origin}
		for _, s := range l.signers {
			log.Keys = append(log.Keys, s.Verifier())
		}
		out = append(out, log)
	}
	return out, nil
}

// privateKey makes a log's key.
func privateKey(seed, name string, number int) ed25519.PrivateKey {
	sum := sha256.Sum256(fmt.Appendf(nil, "conformance key %s %s %d", seed, name, number))
	return ed25519.NewKeyFromSeed(sum[:])
}

// Level is the word that the text uses.
type Level string

// The levels of [RFC 2119], and what the text does not speak of.
//
// [RFC 2119]: https://www.rfc-editor.org/rfc/rfc2119
const (
	Must   Level = "MUST"
	Should Level = "SHOULD"
	May    Level = "MAY"
	Extra  Level = "extra" // bounds and order that a careful witness has
)

// Outcome of a check.
type Outcome string

// The outcomes.
const (
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	Skip Outcome = "not supported" // an optional part that the witness does not offer
)

// First is the check that a log's first checkpoint is cosigned. Where it fails,
// the witness does not know the logs, has other keys, or has played them before,
// and what comes after it is not played.
const First = "first"

// check is one sentence of the text.
type check struct {
	id      string
	section string // of tlog-witness, unless it names another text
	level   Level
	text    string // what is promised
	run     func(*env) error
}

// errUnsupported is returned by checks of optional parts.
var errUnsupported = errors.New("the witness does not offer this")

// env is what checks work with.
type env struct {
	ctx  context.Context
	t    Target
	logs map[string]*player

	blameless []string // malformed requests that were answered as if they were not
}

// checks are all checks, in the order in which they are played: some leave a log
// in a state that others start from.
func checks() []check {
	var all []check
	for _, part := range [][]check{firstChecks(), addChecks(), malformedChecks(), monitorChecks(), subtreeChecks(), raceChecks(), forkChecks()} {
		all = append(all, part...)
	}
	return all
}

// Run plays the logs of the seed against a witness. It returns an error only
// where it could not begin.
func Run(ctx context.Context, t Target) (Report, error) { return play(ctx, t, logNames, checks()) }

func play(ctx context.Context, t Target, names []string, checks []check) (Report, error) {
	if err := t.complete(); err != nil {
		return Report{}, err
	}
	e := &env{ctx: ctx, t: t, logs: map[string]*player{}}
	for _, name := range names {
		l, err := newPlayer(t.Seed, name)
		if err != nil {
			return Report{}, fmt.Errorf("conformance: %w", err)
		}
		e.logs[name] = l
	}
	r := Report{URL: t.URL}
	for _, c := range checks {
		res := Result{ID: c.id, Section: c.section, Level: c.level, Text: c.text, Outcome: Pass}
		switch err := c.run(e); {
		case ctx.Err() != nil:
			return r, ctx.Err()
		case errors.Is(err, errUnsupported):
			res.Outcome = Skip
		case err != nil:
			res.Outcome, res.Detail = Fail, err.Error()
		}
		r.Results = append(r.Results, res)
		if c.id == First && res.Outcome == Fail {
			break
		}
	}
	return r, nil
}
