using System.Text.Json;
using System.Text.Json.Serialization;
using Berth.Commands.Terminals;
using Berth.Core.Errors;

namespace Berth.Commands.Contexts;

/// <summary>A server that the user has logged in to.</summary>
internal sealed record ServerContext(string Host, string? Token);

/// <summary>The remembered servers and which of them is meant when nothing else is said.</summary>
internal sealed record ContextDocument(string? Current, SortedDictionary<string, ServerContext> Contexts)
{
    public static ContextDocument Empty =>
        new(null, new SortedDictionary<string, ServerContext>(StringComparer.Ordinal));
}

/// <summary>
/// <c>$XDG_CONFIG_HOME/berth/config.json</c> (else <c>~/.config/berth/config.json</c>), readable by its owner alone
/// because tokens are in it.
/// </summary>
internal sealed class ContextFile(string path)
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    public string Path => path;

    public static ContextFile Of(Terminal terminal)
    {
        string? folder = terminal.Variable("XDG_CONFIG_HOME");
        if (string.IsNullOrEmpty(folder))
        {
            folder = System.IO.Path.Combine(terminal.Variable("HOME") ?? "/root", ".config");
        }

        return new ContextFile(System.IO.Path.Combine(folder, "berth", "config.json"));
    }

    public ContextDocument Read()
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), ContextJson.Default.ContextDocument) is
            { Contexts: not null } document
                ? document
                : ContextDocument.Empty;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return ContextDocument.Empty;
        }
        catch (JsonException e)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"{path} is not valid: {e.Message} Repair it, or remove it and log in again.", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new BerthException(ErrorCode.InvalidConfiguration, $"{path} can't be read: {e.Message}", e);
        }
    }

    /// <summary>Replaces the file in one step; a reader sees the old one or the new one.</summary>
    public void Write(ContextDocument document)
    {
        string folder = System.IO.Path.GetDirectoryName(path)!;
        Directory.CreateDirectory(folder, OwnerOnly | UnixFileMode.UserExecute);
        string temporary = path + ".new";
        File.Delete(temporary);
        FileStreamOptions options = new()
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = OwnerOnly,
        };
        using (FileStream file = new(temporary, options))
        {
            JsonSerializer.Serialize(file, document, ContextJson.Default.ContextDocument);
            file.WriteByte((byte)'\n');
        }

        File.Move(temporary, path, overwrite: true);
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ContextDocument))]
internal sealed partial class ContextJson : JsonSerializerContext;
