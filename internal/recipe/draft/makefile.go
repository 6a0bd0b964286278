package draft

import "path/filepath"

// makefile writes the recipe of a project that is built by make: a C compiler
// and make from Debian, and the first target.
func (d *draft) makefile() error {
	d.head = debianHead
	d.r.Env = []string{"HOME=/tmp", "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"}
	if err := d.debRoot("dash", "coreutils", "make", "gcc", "libc6-dev", "sed", "grep", "mawk"); err != nil {
		return err
	}
	d.source("/src", 0)
	d.step("the targets as the release was built with", "/src", "/usr/bin/make")
	name, err := filepath.Abs(d.Dir)
	if err != nil {
		return err
	}
	name = filepath.Base(name)
	d.output("path: the file that make writes; artifact: the name of the shipped file", "/src/"+name, name)
	return nil
}
