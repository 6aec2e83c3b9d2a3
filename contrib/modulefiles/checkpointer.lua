-- SPDX-License-Identifier: GPL-2.0-or-later
--
-- checkpointer.lua - for Lmod: as checkpointer/VERSION.lua in MODULEPATH

-- What configure was given as --prefix.
local prefix = "/opt/checkpointer"

help("checkpointer lets batch jobs outlive their time limits; see checkpointer(1).")
whatis("Name: checkpointer")
whatis("Description: batch jobs that outlive their time limits")
conflict("checkpointer")

-- man finds its pages by this, too.
prepend_path("PATH", pathJoin(prefix, "bin"))
