//go:build linux

package sandbox_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine.example/internal/sandbox"
)

// tools is what builds consist of. It is run with the machine's own programs.
const tools = `set -eux
cd /work
printf 'int main(void) { return 0; }\n' > a.c
gcc -O2 -pthread -o a a.c
./a
perl -e 'print "perl\n"' | sort | tee sorted | sed s/perl/sed/ | awk '{ print $1 }'
mkdir -p tree/x && cp a tree/x/ && ln -s x tree/y && ln tree/x/a tree/x/b && mkfifo tree/p
touch -d @1700000000 tree/x/a && chmod 4755 tree/x/a && chown 0:0 tree/x/a
tar -c --exclude=p -f t.tar tree && tar -x -f t.tar -C /tmp && gzip -n t.tar
find tree -type f -exec sha256sum {} + | xargs -n 2 echo
mv tree /tmp/moved && rm -r /tmp/moved
( sleep 0.1 & wait )
sh -c 'kill -TERM $$' || echo "ended by $?"
nproc; date -u -d @$SOURCE_DATE_EPOCH; id; umask; df /tmp; ps ax || true
mkdir -p p/DEBIAN && printf 'Package: p\nVersion: 1\nArchitecture: all\nMaintainer: a <a@a>\nDescription: p\n' > p/DEBIAN/control
dpkg-deb --build --root-owner-group p /work/p.deb
git init -q r && cd r && git -c user.name=a -c user.email=a@a commit -q --allow-empty -m a
`

// TestOrdinaryTools runs shells, compilers and packers: the walls stand where
// these do not come.
func TestOrdinaryTools(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		job := attack(t)
		job.Inputs = []sandbox.Input{{At: "/work/tools.sh", File: filepath.Join(openDir(t), "tools.sh")}}
		if err := os.WriteFile(job.Inputs[0].File, []byte(tools), 0o644); err != nil {
			t.Fatal(err)
		}
		// Directories one by one: in those of the machine's root an ordinary user could write nothing.
		for _, dir := range []string{"/usr", "/etc", "/var"} {
			job.Root = append(job.Root, sandbox.Layer{Dir: dir, At: dir})
		}
		job.Root = append([]sandbox.Layer{{Tar: layer(t, entry('2', "bin", "usr/bin", 0o777), entry('2', "lib", "usr/lib", 0o777),
			entry('2', "lib64", "usr/lib64", 0o777), entry('2', "sbin", "usr/sbin", 0o777))}}, job.Root...)
		job.Argv = []string{"/bin/sh", "/work/tools.sh"}
		job.Env = []string{"PATH=/bin:/sbin", "HOME=/tmp"}
		job.Limits = sandbox.DefaultLimits()
		job.Outputs = []string{"/work/p.deb", "/work/t.tar.gz"}
		o := e.must(t, job)
		if !o.OK() || !strings.Contains(o.log, "ended by 143") {
			t.Errorf("%+v\n%s", o.Result, o.log)
		}
	})
}
