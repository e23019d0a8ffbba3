#pragma once

/// SQLite's write-ahead log, read before SQLite reads it.
///
/// SQLite believes a log up to the first frame that is not whole and drops what follows without a
/// word. That is right for what a power failure tore, which nobody was promised: each commit is
/// flushed before the next is begun, so at most the last one can be torn. But it drops as silently
/// what was promised and has been damaged since, and then writes over it.
///
/// @source sqlite.org, "Database File Format", 4 "The Write-Ahead Log"

#include <cstddef>
#include <filesystem>
#include <string>

namespace hearth::sqlite {

/// The log beside that database.
std::filesystem::path log_of(const std::filesystem::path& database);

/// How the log is damaged, as the rest of a sentence about it; empty: it is not, or there is none.
/// While nobody writes to the database.
std::string damage_of_log(const std::filesystem::path& database);

}  // namespace hearth::sqlite
