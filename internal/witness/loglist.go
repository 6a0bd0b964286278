package witness

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"vitrine.example/tlog"
)

// Bounds of a log list.
const (
	MaxLogList     = 16 << 20 // bytes
	MaxListedLogs  = 100_000
	maxListLine    = 8 << 10
	maxListContact = 1 << 10
)

// LogList is a list of logs (C2SP tlog-list, the format of witness-network.org).
type LogList struct {
	Logs    []Log         // Note is the contact
	Skipped []SkippedItem // with keys that are not read here
}

// SkippedItem is an item of a log list whose key is of a type that is not read,
// or no key at all: one such log does not keep the others away.
type SkippedItem struct {
	Line int
	Err  error
}

// ParseLogList reads a log list: lines that are blank or begin with "#" are
// ignored, spaces and tabs at both ends of a line too. Items are vkey, origin
// (optional), qpd and contact, in this order. Two items of one origin, unknown
// words and anything else refuse the list, with the line.
func ParseLogList(b []byte) (*LogList, error) {
	if len(b) > MaxLogList {
		return nil, fmt.Errorf("log list: %d bytes, want at most %d", len(b), MaxLogList)
	}
	p := &listParser{rest: string(b), origins: map[string]bool{}, list: &LogList{}}
	if err := p.parse(); err != nil {
		return nil, fmt.Errorf("log list line %d: %w", p.line, err)
	}
	return p.list, nil
}

type listParser struct {
	rest    string
	line    int
	origins map[string]bool
	list    *LogList
}

func (p *listParser) parse() error {
	if line, err := p.next(); err != nil || line != "logs/v0" {
		return errors.Join(err, fmt.Errorf(`%.40q, want the header "logs/v0"`, line))
	}
	for {
		line, err := p.next()
		if err != nil || line == "" {
			return err
		}
		if len(p.origins) == MaxListedLogs {
			return fmt.Errorf("more than %d logs", MaxListedLogs)
		}
		if err := p.item(line); err != nil {
			return err
		}
	}
}

// next returns the next line that is not ignored, and "" at the end.
func (p *listParser) next() (string, error) {
	for p.rest != "" {
		var line string
		line, p.rest, _ = strings.Cut(p.rest, "\n")
		p.line++
		if len(line) > maxListLine {
			return "", fmt.Errorf("%d bytes in one line, want at most %d", len(line), maxListLine)
		}
		if line = strings.Trim(line, " \t"); line != "" && line[0] != '#' {
			return line, nil
		}
	}
	return "", nil
}

// field reads "word value".
func field(line, word string) (string, error) {
	value, ok := strings.CutPrefix(line, word+" ")
	if !ok || strings.Trim(value, " \t") != value || value == "" {
		return "", fmt.Errorf("%.60q, want: %s <value>", line, word)
	}
	return value, nil
}

func (p *listParser) item(line string) error {
	vkey, err := field(line, "vkey")
	if err != nil {
		return err
	}
	at := p.line
	name, _, _ := strings.Cut(vkey, "+")
	l := Log{Origin: name}
	if line, err = p.next(); err != nil {
		return err
	}
	if strings.HasPrefix(line, "origin ") {
		if l.Origin, err = field(line, "origin"); err != nil {
			return err
		}
		if line, err = p.next(); err != nil {
			return err
		}
	}
	if l.PerDay, err = parsePerDay(line); err != nil {
		return err
	}
	if line, err = p.next(); err != nil {
		return err
	}
	if l.Note, err = field(line, "contact"); err != nil {
		return err
	}
	if len(l.Note) > maxListContact {
		return fmt.Errorf("a contact of %d bytes, want at most %d", len(l.Note), maxListContact)
	}
	if err := checkText("contact", l.Note); err != nil {
		return err
	}
	return p.keep(l, vkey, at)
}

func (p *listParser) keep(l Log, vkey string, at int) error {
	if err := (tlog.Checkpoint{Origin: l.Origin, Root: tlog.EmptyRoot()}).Validate(); err != nil {
		return fmt.Errorf("origin %.80q: %w", l.Origin, err)
	}
	if p.origins[l.Origin] {
		return fmt.Errorf("origin %.80q stands twice", l.Origin) // "Two logs MUST NOT share the same origin."
	}
	p.origins[l.Origin] = true
	v, err := tlog.ParseVerifier(vkey)
	if err == nil && v.Type() != tlog.Ed25519 && v.Type() != tlog.MLDSA44Cosignature {
		err = fmt.Errorf("%s is not the type of a log's key", v.Type())
	}
	if err != nil {
		p.list.Skipped = append(p.list.Skipped, SkippedItem{at, err})
		return nil
	}
	l.Keys = []tlog.Verifier{v}
	p.list.Logs = append(p.list.Logs, l)
	return nil
}

// parsePerDay reads a number "in the range [1, 2^31) … with no leading zeroes".
func parsePerDay(line string) (int64, error) {
	s, err := field(line, "qpd")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != s {
		return 0, fmt.Errorf("qpd %.20q, want a number from 1 to 2147483647", s)
	}
	return n, nil
}

// ListReport says what became of a log list.
type ListReport struct {
	Added     []string // origins
	Known     int
	Different []string // known with other keys: look into why
	Refused   []SkippedItem
}

// AddList adds the logs of a list that are new. It never changes or removes one
// that is known, so that whoever keeps the list cannot disturb what was
// configured before.
func (w *Witness) AddList(ctx context.Context, list *LogList) (ListReport, error) {
	var r ListReport
	for _, l := range list.Logs {
		l.PerDay = min(l.PerDay, maxPerDay)
		added, err := w.add(ctx, l)
		switch {
		case errors.Is(err, ErrDifferent):
			r.Different = append(r.Different, l.Origin)
		case err != nil && w.checkLog(l) != nil:
			r.Refused = append(r.Refused, SkippedItem{0, err})
		case err != nil:
			return r, err
		case added:
			r.Added = append(r.Added, l.Origin)
		default:
			r.Known++
		}
	}
	return r, nil
}
