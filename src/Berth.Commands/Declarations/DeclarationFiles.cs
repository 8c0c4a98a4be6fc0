using System.CommandLine;
using System.Text;
using Berth.Core.Errors;

namespace Berth.Commands.Declarations;

/// <summary><c>-f</c> and <c>--project</c>: the files that say what functions there are to be.</summary>
internal sealed class DeclarationFiles
{
    /// <summary>Looked for where no file is named.</summary>
    public const string Usual = "berth.yaml";

    private const string Standard = "-";
    private const int MostFiles = 1000;
    private static readonly string[] Endings = [".yaml", ".yml", ".json"];

    private readonly Option<string[]> files = new("--file", "-f")
    {
        HelpName = "FILE|FOLDER|-",
        Description = "YAML or JSON, a folder of such files, or - for standard input; ./berth.yaml if not given "
            + "(repeatable)",
        AllowMultipleArgumentsPerToken = false,
    };

    private readonly Option<string?> project = new("--project")
    {
        HelpName = "NAME",
        Description = "The functions belong together under this name, where a file names no project itself",
    };

    public void AddTo(Command command)
    {
        command.Add(files);
        command.Add(project);
    }

    /// <summary>Null where something is wrong with the files: all of it was told.</summary>
    public async Task<IReadOnlyCollection<Declaration>?> ReadAsync(
        Session session, CancellationToken cancellationToken)
    {
        DeclarationReader reader = new(session.Get(project));
        string[] named = session.Get(files) is { Length: > 0 } given ? given : [Usual];
        foreach (string path in named.SelectMany(Expand))
        {
            string text = path == Standard
                ? await StandardInputAsync(session, cancellationToken)
                : await FileAsync(path, cancellationToken);
            reader.Add(path == Standard ? "standard input" : path, text);
        }

        foreach (Complaint complaint in reader.Complaints)
        {
            session.Terminal.Complain(complaint.ToString());
        }

        return reader.Complaints.Count == 0 ? reader.Functions : null;
    }

    /// <summary>Projects that were named, in the files or on the command line.</summary>
    public IReadOnlySet<string> Projects(Session session, IReadOnlyCollection<Declaration> functions) =>
        functions.Select(f => f.Project).Append(session.Get(project)).OfType<string>()
            .ToHashSet(StringComparer.Ordinal);

    /// <summary>A file's text; throws <c>InvalidRequest</c> where it can't be read, or is too long.</summary>
    public static async Task<string> FileAsync(string path, CancellationToken cancellationToken)
    {
        try
        {
            await using FileStream file = File.OpenRead(path);
            return await TextAsync(path, file, cancellationToken);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            string hint = path == Usual ? " Name one with '-f FILE'." : "";
            throw new BerthException(ErrorCode.InvalidRequest, $"'{path}' can't be read: {e.Message}{hint}", e);
        }
    }

    private static async Task<string> StandardInputAsync(Session session, CancellationToken cancellationToken)
    {
        await using Stream input = session.Terminal.OpenInput();
        return await TextAsync("standard input", input, cancellationToken);
    }

    /// <summary>One character more than is read, so that the reader can tell.</summary>
    private static async Task<string> TextAsync(string name, Stream stream, CancellationToken cancellationToken)
    {
        using StreamReader reader = new(
            stream, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true));
        char[] text = new char[YamlReader.MaxLength + 1];
        try
        {
            int length = await reader.ReadBlockAsync(text, cancellationToken);
            return new string(text, 0, length);
        }
        catch (DecoderFallbackException e)
        {
            throw new BerthException(ErrorCode.InvalidRequest, $"'{name}' is no text in UTF-8.", e);
        }
    }

    private static IEnumerable<string> Expand(string path)
    {
        if (path == Standard || !Directory.Exists(path))
        {
            return [path];
        }

        string[] found =
        [
            .. Directory.EnumerateFiles(path)
                .Where(f => Endings.Contains(Path.GetExtension(f), StringComparer.OrdinalIgnoreCase))
                .Order(StringComparer.Ordinal).Take(MostFiles + 1),
        ];
        return found.Length switch
        {
            0 => throw new BerthException(
                ErrorCode.InvalidRequest, $"'{path}' has no file that ends with {string.Join(", ", Endings)}."),
            > MostFiles => throw new BerthException(
                ErrorCode.InvalidRequest, $"'{path}' has more than {MostFiles:N0} files: name a smaller folder."),
            _ => found,
        };
    }
}
