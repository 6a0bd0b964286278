package web_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// noEnd finds the elements that have no end tag in HTML.
var noEnd = regexp.MustCompile(`<(meta|link|img)\b([^>]*)>`)

// wellFormed reads HTML as strictly as XML, but for the doctype and the
// elements that have no end, and checks ids and links within the page.
func wellFormed(page string) error {
	rest, ok := strings.CutPrefix(page, "<!doctype html>\n")
	if !ok {
		return errors.New("no doctype")
	}
	d := xml.NewDecoder(strings.NewReader(noEnd.ReplaceAllString(rest, "<$1$2/>")))
	d.Strict = true
	d.Entity = xml.HTMLEntity
	ids, targets := map[string]bool{}, []string{}
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		el, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		seen := map[string]string{}
		for _, a := range el.Attr {
			if strings.HasPrefix(a.Name.Local, "on") {
				return fmt.Errorf("<%s> has a handler %s", el.Name.Local, a.Name.Local)
			}
			seen[a.Name.Local] = a.Value
		}
		if id := seen["id"]; id != "" {
			if ids[id] {
				return fmt.Errorf("id %q twice", id)
			}
			ids[id] = true
		}
		if by := seen["aria-labelledby"]; by != "" {
			targets = append(targets, by)
		}
		if to, ok := strings.CutPrefix(seen["href"], "#"); ok {
			targets = append(targets, to)
		}
		if _, ok := seen["alt"]; el.Name.Local == "img" && !ok {
			return errors.New("an image without alt")
		}
	}
	for _, id := range targets {
		if !ids[id] {
			return fmt.Errorf("nothing has the id %q", id)
		}
	}
	return nil
}
