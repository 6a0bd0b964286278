package conformance

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// malformation is a good request spoilt in one place.
type malformation struct {
	id, text string
	level    Level
	change   func(in string) string
}

// hash64 is the base64 of a hash.
var hash64 = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))

func replace(from, to string) func(string) string {
	return func(in string) string { return strings.Replace(in, from, to, 1) }
}

// old writes another old size line: OLD stands for the right size.
func old(form string) func(string) string {
	return func(in string) string {
		line, rest, _ := strings.Cut(in, "\n")
		return strings.ReplaceAll(form, "OLD", strings.TrimPrefix(line, "old ")) + rest
	}
}

// text changes the checkpoint.
func text(f func(note string) string) func(string) string {
	return func(in string) string {
		head, note, _ := strings.Cut(in, "\n\n")
		return head + "\n\n" + f(note)
	}
}

// line changes one line of the checkpoint, counted from 0.
func line(n int, f func(string) string) func(string) string {
	return text(func(note string) string {
		lines := strings.SplitAfter(note, "\n")
		lines[n] = f(lines[n])
		return strings.Join(lines, "")
	})
}

func malformations() []malformation {
	return []malformation{
		{"empty", "an empty request", Must, func(string) string { return "" }},
		{"no-old", "no old size line", Must, old("")},
		{"old-word", "another word than old", Must, old("size OLD\n")},
		{"old-case", "Old with a capital", Must, old("Old OLD\n")},
		{"old-zeros", "leading zeros in the old size", Must, old("old 0OLD\n")},
		{"old-plus", "a plus before the old size", Must, old("old +OLD\n")},
		{"old-minus", "a minus before the old size", Must, old("old -OLD\n")},
		{"old-tab", "a tab instead of the space", Must, old("old\tOLD\n")},
		{"old-spaces", "two spaces", Must, old("old  OLD\n")},
		{"old-trailing", "a space after the old size", Must, old("old OLD \n")},
		{"old-leading", "a space before old", Must, old(" old OLD\n")},
		{"old-missing", "no number", Must, old("old \n")},
		{"old-hex", "a hexadecimal number", Must, old("old 0x10\n")},
		{"old-huge", "a number above 2^64", Must, old("old 18446744073709551616\n")},
		{"old-crlf", "CRLF after the old size", Must, old("old OLD\r\n")},
		{"old-twice", "two old size lines", Must, old("old OLD\nold OLD\n")},
		{"old-blank", "an empty line before the old size", Must, old("\nold OLD\n")},
		{"crlf", "CRLF everywhere", Must, func(in string) string { return strings.ReplaceAll(in, "\n", "\r\n") }},
		{"proof-text", "a proof line that is not base64", Must, old("old OLD\n!!!!\n")},
		{"proof-short", "a proof line of 31 bytes", Must, old("old OLD\n" + base64.StdEncoding.EncodeToString(make([]byte, 31)) + "\n")},
		{"proof-long", "a proof line of 33 bytes", Must, old("old OLD\n" + base64.StdEncoding.EncodeToString(make([]byte, 33)) + "\n")},
		{"proof-unpadded", "base64 without padding", Must, old("old OLD\n" + strings.TrimRight(hash64, "=") + "\n")},
		{"proof-url", "the URL-safe alphabet", Must, old("old OLD\n" + strings.Repeat("-_", 21) + "8=\n")},
		{"proof-space", "a space after a hash", Must, old("old OLD\n" + hash64 + " \n")},
		{"proof-two", "two hashes on one line", Must, old("old OLD\n" + hash64 + hash64 + "\n")},
		{"proof-64", "64 proof lines", Extra, old("old OLD\n" + strings.Repeat(hash64+"\n", 64))},
		{"proof-1000", "1,000 proof lines", Extra, old("old OLD\n" + strings.Repeat(hash64+"\n", 1000))},
		{"no-blank", "no empty line before the checkpoint", Must, replace("\n\n", "\n")},
		{"two-blanks", "two empty lines before the checkpoint", Must, replace("\n\n", "\n\n\n")},
		{"no-checkpoint", "nothing after the empty line", Must, text(func(string) string { return "" })},
		{"no-signature", "a checkpoint without signature lines", Must, text(func(n string) string { return n[:strings.Index(n, "\n\n")+2] })},
		{"no-newline", "no newline at the end", Must, func(in string) string { return strings.TrimSuffix(in, "\n") }},
		{"after", "text after the signatures", Must, func(in string) string { return in + "more\n" }},
		{"size-zeros", "leading zeros in the size of the checkpoint", Must, line(1, func(s string) string { return "0" + s })},
		{"size-minus", "a negative size in the checkpoint", Must, line(1, func(s string) string { return "-" + s })},
		{"size-text", "a size that is no number", Must, line(1, func(string) string { return "many\n" })},
		{"root-short", "a root hash of 31 bytes", Must, line(2, func(string) string { return base64.StdEncoding.EncodeToString(make([]byte, 31)) + "\n" })},
		{"root-text", "a root hash that is not base64", Must, line(2, func(string) string { return "!!!!\n" })},
		{"control", "a control character in the checkpoint", Must, line(2, func(s string) string { return s + "a\x00b\n" })},
		{"utf-8", "bytes that are not UTF-8", Must, line(2, func(s string) string { return s + "a\xffb\n" })},
	}
}

// malformedChecks are the malformed requests as checks. The checkpoint is signed
// again where it has changed: it is the form that is refused, not the signature.
func malformedChecks() []check {
	var out []check
	for _, m := range malformations() {
		out = append(out, check{"malformed-" + m.id, sectionAdd, m.level, "not cosigned: " + m.text, func(e *env) error {
			return e.malformed(m)
		}})
	}
	return append(out,
		check{"malformed-status", sectionAdd, Extra, "malformed requests are answered with 4xx, of which the text says nothing", func(e *env) error {
			if len(e.blameless) > 0 {
				return fmt.Errorf("other answers to: %s", strings.Join(e.blameless, ", "))
			}
			return nil
		}},
		check{"body-8M", sectionAdd, Extra, "a request of 8 MiB is refused with 4xx, or the connection is closed", func(e *env) error {
			body := append([]byte("old 0\n"), bytes.Repeat([]byte(hash64+"\n"), 8<<20/45)...)
			a, err := e.post("add-checkpoint", body)
			if err != nil {
				return e.alive() // it hung up
			}
			return a.refused()
		}},
		check{"unmoved", sectionAdd, Must, "nothing that was refused has changed the state", func(e *env) error { return e.alive() }},
	)
}

// alive grows the main log: the state is as we know it.
func (e *env) alive() error { return e.grow(e.logs[mainLog], 1) }

// malformed sends a malformed request, which must not be cosigned.
func (e *env) malformed(m malformation) error {
	p := e.logs[mainLog]
	q, err := p.next(1)
	if err != nil {
		return err
	}
	in := m.change(string(q.Marshal()))
	if head, note, ok := strings.Cut(in, "\n\n"); ok {
		if body, sigs, ok := strings.Cut(note, "\n\n"); ok && body+"\n" != string(q.Checkpoint.Text()) {
			in = resign(p, head, body+"\n", sigs)
		}
	}
	a, err := e.post("add-checkpoint", []byte(in))
	if err != nil {
		return err
	}
	if a.status == http.StatusOK {
		p.size = q.Checkpoint.Size
	}
	if a.refused() != nil {
		e.blameless = append(e.blameless, fmt.Sprintf("%s (%d)", m.id, a.status))
	}
	if a.status < 400 {
		return fmt.Errorf("status %d: %.100q", a.status, a.body)
	}
	return nil
}

// resign puts a signature that verifies under a spoilt checkpoint.
func resign(p *player, head, body, sigs string) string {
	sig := p.rawSign([]byte(body))
	_, rest, _ := strings.Cut(sigs, "\n")
	return head + "\n\n" + body + "\n" + string(sig.Marshal()) + rest
}
