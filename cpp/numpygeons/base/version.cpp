/// Gives the static library its first object file.
namespace numpygeons {}
