package binary

import (
	"bytes"
	"strconv"
	"time"
)

// dateForms are the ways in which compilers and build scripts write a time;
// __DATE__ and __TIME__ of C are the third and the last.
var dateForms = []string{
	"2006-01-02T15:04:05", "2006-01-02 15:04:05", "Jan _2 2006", "2006-01-02", "2006/01/02", "20060102",
	"02 Jan 2006", "2 January 2006", "Jan 2, 2006", "15:04:05",
}

// dates replaces dates made from the clock of the rebuild. That clock must be
// known: any other date in a program may be one that it acts upon.
func (p *prover) dates() {
	if p.o.Built.IsZero() {
		return
	}
	built := p.o.Built.UTC()
	for _, form := range dateForms {
		p.date(built.Format(form), func(s string) bool {
			t, err := time.Parse(form, s)
			return err == nil && (form == "15:04:05" || plausible(t)) && t.Format(form) == s
		})
	}
	p.date(strconv.FormatInt(built.Unix(), 10), func(s string) bool {
		n, err := strconv.ParseInt(s, 10, 64)
		return err == nil && plausible(time.Unix(n, 0))
	})
	p.date(strconv.Itoa(built.Year()), func(s string) bool {
		n, err := strconv.Atoi(s)
		return err == nil && len(s) == 4 && n >= 1990 && n < 2100
	})
}

func plausible(t time.Time) bool { return t.Year() >= 1990 && t.Year() < 2100 }

// date replaces a text in read-only data by the one at the same place in a, if
// that is a date of the same form and the same at each place where they differ.
func (p *prover) date(text string, valid func(string) bool) {
	if len(p.a.file) != len(p.b.file) {
		return
	}
	var covers []extent
	want := ""
	for i := range p.b.regions {
		r := &p.b.regions[i]
		if r.kind != kindData || r.writable || r.mem == 0 {
			continue
		}
		d := p.b.data(r)
		for at := 0; ; at += len(text) {
			k := bytes.Index(d[at:], []byte(text))
			if k < 0 {
				break
			}
			at += k
			off := r.off + int64(at)
			s := string(p.a.file[off : off+int64(len(text))])
			if s == text || digitAround(d, at, len(text)) {
				continue
			}
			if want == "" {
				want = s
			}
			if s != want || !valid(s) {
				return
			}
			covers = append(covers, extent{off, int64(len(text))})
		}
	}
	if len(covers) == 0 {
		return
	}
	for _, e := range covers {
		p.edit(e.off, []byte(want))
	}
	p.cause(CauseDate, "read-only data", true, versus(want, text), covers...)
}

// digitAround reports a longer number, of which the text is only a part.
func digitAround(d []byte, at, n int) bool {
	digit := func(i int) bool { return i >= 0 && i < len(d) && d[i] >= '0' && d[i] <= '9' }
	return digit(at-1) || digit(at+n)
}
