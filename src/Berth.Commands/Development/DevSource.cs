using Berth.Api.Functions;
using Berth.Commands.Declarations;
using Berth.Core.Errors;
using Berth.Core.Functions;

namespace Berth.Commands.Development;

/// <summary>What a folder says the function is to be now.</summary>
/// <param name="Source">What its image is made of; null where it is one of the registry.</param>
internal sealed record DevFunction(string Name, FunctionRequest Request, ImageOrigin? Source)
{
    /// <summary>Whether its image is made of the folder.</summary>
    public bool IsMade => Source is not null;
}

/// <summary>Reads a folder that a function is in: its berth.yaml where there is one, else what it looks like.</summary>
/// <param name="function">Which of the file's; null for the only one.</param>
/// <param name="name">What it is to be called; null for a name of its own.</param>
internal sealed class DevSource(string folder, string? function, string? name)
{
    private const string Suffix = "-dev";
    private static readonly string[] Dockerfiles = ["Containerfile", "Dockerfile"];
    private static readonly string[] Programs = ["run", "serve", "start"];

    public string Folder => folder;

    /// <exception cref="BerthException">InvalidRequest, with all that is wrong.</exception>
    public async Task<DevFunction> ReadAsync(CancellationToken cancellationToken)
    {
        Declaration? declared = await DeclaredAsync(cancellationToken);
        ImageOrigin? origin = declared?.Source ?? (declared?.Request.Image is null ? LooksLike() : null);
        if (origin is null && declared?.Request.Image is null)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"There is nothing to run in {folder}: it has no {DeclarationFiles.Usual} with 'build', 'rootfs' or "
                + $"'image', no {Dockerfiles[1]}, and no executable file named {string.Join(" or ", Programs)}.");
        }

        return new DevFunction(
            name is null ? NameFor(declared?.Name) : FunctionName.Check(name, "function"),
            declared?.Request ?? new FunctionRequest(), origin);
    }

    private async Task<Declaration?> DeclaredAsync(CancellationToken cancellationToken)
    {
        string path = Path.Combine(folder, DeclarationFiles.Usual);
        if (!File.Exists(path))
        {
            return function is null ? null : throw new BerthException(
                ErrorCode.InvalidRequest, $"--function chooses one of {path}, which is not there.");
        }

        DeclarationReader reader = new(project: null);
        reader.Add(path, await DeclarationFiles.FileAsync(path, cancellationToken));
        if (reader.Complaints.Count > 0)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, string.Join('\n', reader.Complaints.Select(c => c.ToString())));
        }

        Declaration[] found = [.. reader.Functions.Where(f => function is null || f.Name == function)];
        string names = string.Join(", ", reader.Functions.Select(f => f.Name));
        return found switch
        {
            [var one] => one,
            [] => throw new BerthException(
                ErrorCode.InvalidRequest,
                function is null
                    ? $"{path} has no function."
                    : $"{path} has no function '{function}': it has {names}."),
            _ => throw new BerthException(
                ErrorCode.InvalidRequest, $"{path} has several functions: choose one with '--function': {names}."),
        };
    }

    /// <summary>Null where the folder looks like nothing that can be run.</summary>
    private ImageOrigin? LooksLike()
    {
        if (Dockerfiles.Any(f => File.Exists(Path.Combine(folder, f))))
        {
            return new ImageOrigin(IsRoot: false, ".");
        }

        return Programs.FirstOrDefault(IsExecutable) is { } program
            ? new ImageOrigin(IsRoot: true, ".", Entrypoint: ["/" + program])
            : null;
    }

    private bool IsExecutable(string file)
    {
        string path = Path.Combine(folder, file);
        return File.Exists(path) && (File.GetUnixFileMode(path) & UnixFileMode.UserExecute) != 0;
    }

    private string NameFor(string? declared)
    {
        string given = declared ?? new string(
            [.. Path.GetFileName(folder).ToLowerInvariant().Select(c => char.IsAsciiLetterOrDigit(c) ? c : '-')])
            .Trim('-');
        string made = given[..Math.Min(given.Length, FunctionName.MaxLength - Suffix.Length)].TrimEnd('-') + Suffix;
        return FunctionName.IsValid(made) ? made : throw new BerthException(
            ErrorCode.InvalidRequest,
            $"'{Path.GetFileName(folder)}' makes no name for a function: give one with '--name'.");
    }
}
