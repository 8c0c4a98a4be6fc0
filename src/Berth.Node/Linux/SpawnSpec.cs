namespace Berth.Node.Linux;

/// <summary>
/// A program of the machine to run, without a shell and with nothing inherited that isn't named here.
/// </summary>
/// <param name="Path">Absolute path of the executable.</param>
/// <param name="Arguments">Without the name, which is <paramref name="Path"/>.</param>
/// <param name="Environment">All of it; null gives a PATH of the system's folders only.</param>
/// <param name="WorkingDirectory">Null: the root.</param>
/// <param name="Descriptors">Descriptor i of the child is entry i; null entries are /dev/null. Standard input, output
/// and error are entries 0 to 2 and always present. The caller keeps its own copies.</param>
public sealed record SpawnSpec(
    string Path,
    IReadOnlyList<string> Arguments,
    IReadOnlyList<string>? Environment = null,
    string? WorkingDirectory = null,
    IReadOnlyList<FileDescriptor?>? Descriptors = null);
