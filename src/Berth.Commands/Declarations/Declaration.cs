using Berth.Api.Functions;

namespace Berth.Commands.Declarations;

/// <summary>One function as a file says it is to be.</summary>
/// <param name="Places">Where each setting stands, by its name in the HTTP interface.</param>
/// <param name="Source">What its image is made of, for <c>berth dev</c>; null where nothing says so.</param>
/// <param name="Triggers">That call it.</param>
internal sealed record Declaration(
    string Name, Mark At, FunctionRequest Request, IReadOnlyDictionary<string, Mark> Places, ImageOrigin? Source,
    IReadOnlyList<TriggerDeclaration> Triggers)
{
    /// <summary>By which the functions of one set of files are known, so that those that are gone from them can be
    /// removed.</summary>
    public const string ProjectLabel = "berth.project";

    public string? Project => Request.Labels?.GetValueOrDefault(ProjectLabel);

    /// <summary>Where in the file a server's refusal is about.</summary>
    /// <param name="message">Begins with the name of a setting, as the server's refusals do.</param>
    public Mark PlaceOf(string message) => PlaceOf(message, Places, At);

    /// <param name="at">Where it is about no setting.</param>
    public static Mark PlaceOf(string message, IReadOnlyDictionary<string, Mark> places, Mark at)
    {
        int end = 0;
        while (end < message.Length && (char.IsAsciiLetterOrDigit(message[end]) || message[end] is '.' or '[' or ']'))
        {
            end++;
        }

        string name = message[..end];
        return places.TryGetValue(name, out Mark place) || places.TryGetValue(name.Split('.', '[')[0], out place)
            ? place
            : at;
    }
}

/// <summary>What an image is made of: a Dockerfile, or a folder that becomes its root.</summary>
/// <param name="Folder">From the file's own folder.</param>
/// <param name="Dockerfile">Null for the one in the folder; of a root folder always null.</param>
internal sealed record ImageOrigin(
    bool IsRoot, string Folder, string? Dockerfile = null, IReadOnlyDictionary<string, string>? Arguments = null,
    string? Target = null, string? Base = null, string? Prefix = null, IReadOnlyList<string>? Entrypoint = null,
    IReadOnlyDictionary<string, string>? Environment = null);
