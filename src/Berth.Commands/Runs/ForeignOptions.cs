using System.CommandLine;
using System.CommandLine.Parsing;

namespace Berth.Commands.Runs;

/// <summary>
/// Options that people type after <c>docker run</c> and that mean nothing here. Each is answered with one sentence
/// that says what to do instead, where an unknown option would be taken for a slip of the keyboard.
/// </summary>
internal static class ForeignOptions
{
    private const string VolumeAdvice = "this version mounts no folders: send a file by standard input, several as a "
        + "tar archive, or build them into the image with 'berth image pack'.";

    public static void AddTo(Command command)
    {
        Option[] options =
        [
            Switch("--privileged", null, "sandboxes are never privileged here."),
            Valued("--cap-add", null, "sandboxes have a fixed set of capabilities here; none can be added."),
            Valued("--device", null, "sandboxes get no devices of the machine here."),
            Valued("--gpus", null, "this version gives no GPUs to sandboxes."),
        ];
        foreach (Option option in options)
        {
            command.Add(option);
        }
    }

    /// <summary>Refuses an IMAGE that is a file.</summary>
    public static void RefusePath(ArgumentResult image)
    {
        if (image.Tokens is [{ Value: { } text }] && (text.StartsWith('/')
            || text.StartsWith("./", StringComparison.Ordinal) || text.Contains(":/", StringComparison.Ordinal)))
        {
            image.AddError(
                $"'{text}' is a path, not an image: 'berth image pack' makes an image of a folder, and 'berth run -v' "
                + "mounts one.");
        }
    }

    private static Option<bool> Switch(string name, string? alias, string advice)
    {
        Option<bool> option = new(name, alias is null ? [] : [alias])
        {
            Description = "Of docker run; refused with advice",
            Hidden = true,
        };
        option.Validators.Add(result => Refuse(result, advice));
        return option;
    }

    private static Option<string[]> Valued(string name, string? alias, string advice)
    {
        Option<string[]> option = new(name, alias is null ? [] : [alias])
        {
            Description = "Of docker run; refused with advice",
            Hidden = true,
        };
        option.Validators.Add(result => Refuse(result, advice));
        return option;
    }

    private static void Refuse(OptionResult result, string advice)
    {
        if (!result.Implicit)
        {
            result.AddError($"{result.IdentifierToken?.Value ?? result.Option.Name}: {advice}");
        }
    }
}
