using Berth.Api.Functions;
using Berth.Core.Functions;

namespace Berth.Commands.Declarations;

/// <summary>
/// Makes functions of the documents of files: one function in each document, with its <c>name</c>, or several below
/// <c>functions</c>. Everything that is wrong is told at once, each with its place.
/// </summary>
internal sealed class DeclarationReader(string? project)
{
    private const string NameKey = "name";
    private const string FunctionsKey = "functions";
    private const string ProjectKey = "project";
    private const string BuildKey = "build";
    private const string RootKey = "rootfs";

    private const string TriggersKey = "triggers";

    private static readonly string NameRule =
        $"1 to {FunctionName.MaxLength} small letters, digits and '-', a letter first, and no '-' last";

    private static readonly string[] OfFunctions =
        [.. FunctionSettings.Names, BuildKey, RootKey, TriggersKey];

    private static readonly string[] OfBuild = ["context", "dockerfile", "args", "target"];
    private static readonly string[] OfRoot = ["folder", "base", "prefix", "entrypoint", "environment"];

    private readonly SettingReader read = new();
    private readonly Dictionary<string, Declaration> functions = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Mark> triggers = new(StringComparer.Ordinal);

    public IReadOnlyList<Complaint> Complaints => read.Complaints;

    /// <summary>In the order of the files.</summary>
    public IReadOnlyCollection<Declaration> Functions => functions.Values;

    /// <summary>Takes in one file.</summary>
    /// <param name="name">Of the file, for messages.</param>
    public void Add(string name, string text)
    {
        try
        {
            foreach (YamlNode document in YamlReader.Read(name, text))
            {
                Document(document);
            }
        }
        catch (UnreadableException e)
        {
            read.Complain(e.Complaint.At, e.Complaint.Text);
        }
    }

    private void Document(YamlNode document)
    {
        if (document is not YamlMap map)
        {
            read.Complain(document.At, $"this document is {document.Kind}, and must be a group of settings.");
            return;
        }

        string? own = map.Find(ProjectKey) is { } given ? Project(given) : project;
        if (map.Find(FunctionsKey) is not { } several)
        {
            if (map.Find(NameKey) is not YamlText name)
            {
                read.Complain(
                    map.At, "there is neither 'name' of a function nor 'functions', with a group for each, here.");
                return;
            }

            YamlMap settings = map with
            {
                Members = [.. map.Members.Where(m => m.Name.Value is not (NameKey or ProjectKey))],
            };
            Function(name, settings, own);
            return;
        }

        read.Each("a file with 'functions'", map, [FunctionsKey, ProjectKey], (_, _) => { });
        foreach ((YamlText name, YamlNode settings) in read.Group(FunctionsKey, several)?.Members ?? [])
        {
            Function(name, settings, own);
        }
    }

    private string? Project(YamlNode given)
    {
        string? name = read.Text(ProjectKey, ProjectKey, given);
        if (name is null || FunctionName.IsValid(name))
        {
            return name;
        }

        read.Complain(given.At, $"'{name}' is no name of a project: small letters, digits and '-', a letter first.");
        return null;
    }

    private void Function(YamlText name, YamlNode settings, string? own)
    {
        if (!FunctionName.IsValid(name.Value))
        {
            read.Complain(
                name.At,
                $"'{name.Value}' is no name for a function: {NameRule}.");
            return;
        }

        if (functions.TryGetValue(name.Value, out Declaration? other))
        {
            read.Complain(name.At, $"function '{name.Value}' is declared twice: the first time at {other.At}.");
            return;
        }

        if (read.Group(name.Value, settings) is { } map)
        {
            functions[name.Value] = Read(name, map, own);
        }
    }

    private Declaration Read(YamlText name, YamlMap map, string? own)
    {
        FunctionRequest request = new();
        ImageOrigin? source = null;
        read.Places = new Dictionary<string, Mark>(StringComparer.Ordinal);
        List<TriggerDeclaration> calling = [];
        read.Each($"function '{name.Value}'", map, OfFunctions, (key, value) =>
        {
            if (key is BuildKey or RootKey)
            {
                if (source is not null)
                {
                    read.Complain(value.At, "'build' and 'rootfs' can't be given together: an image is made one way.");
                }

                source = key == BuildKey ? Build(value) : Root(value);
            }
            else if (key == TriggersKey)
            {
                calling.AddRange(Triggers(name.Value, value, own));
            }
            else
            {
                request = FunctionSettings.Set(request, key, value, read);
            }
        });
        if (own is not null)
        {
            request = request with
            {
                Labels = new Dictionary<string, string>(request.Labels ?? new Dictionary<string, string>())
                {
                    [Declaration.ProjectLabel] = own,
                },
            };
        }

        return new Declaration(name.Value, name.At, request, read.Places, source, calling);
    }

    private IEnumerable<TriggerDeclaration> Triggers(string function, YamlNode node, string? own)
    {
        foreach ((YamlText name, YamlNode settings) in read.Group(TriggersKey, node)?.Members ?? [])
        {
            if (!FunctionName.IsValid(name.Value))
            {
                read.Complain(name.At, $"'{name.Value}' is no name for a trigger: {NameRule}.");
            }
            else if (!triggers.TryAdd(name.Value, name.At))
            {
                read.Complain(
                    name.At, $"trigger '{name.Value}' is declared twice: the first time at {triggers[name.Value]}.");
            }
            else if (TriggerSettings.Read(name, settings, function, own, read) is { } trigger)
            {
                yield return trigger;
            }
        }
    }

    private ImageOrigin? Build(YamlNode node)
    {
        if (node is YamlText folder)
        {
            return new ImageOrigin(IsRoot: false, folder.Value);
        }

        ImageOrigin origin = new(IsRoot: false, ".");
        if (read.Group(BuildKey, node) is { } map)
        {
            read.Each("'build'", map, OfBuild, (key, value) => origin = key switch
            {
                "context" => origin with { Folder = read.Text("build.context", key, value) ?? "." },
                "dockerfile" => origin with { Dockerfile = read.Text("build.dockerfile", key, value) },
                "args" => origin with { Arguments = read.Pairs("build.args", key, value) },
                _ => origin with { Target = read.Text("build.target", key, value) },
            });
        }

        return origin;
    }

    private ImageOrigin? Root(YamlNode node)
    {
        if (node is YamlText folder)
        {
            return new ImageOrigin(IsRoot: true, folder.Value);
        }

        ImageOrigin origin = new(IsRoot: true, ".");
        if (read.Group(RootKey, node) is { } map)
        {
            read.Each("'rootfs'", map, OfRoot, (key, value) => origin = key switch
            {
                "folder" => origin with { Folder = read.Text("rootfs.folder", key, value) ?? "." },
                "base" => origin with { Base = read.Text("rootfs.base", key, value) },
                "prefix" => origin with { Prefix = read.Text("rootfs.prefix", key, value) },
                "entrypoint" => origin with { Entrypoint = read.Words("rootfs.entrypoint", key, value) },
                _ => origin with { Environment = read.Pairs("rootfs.environment", key, value) },
            });
        }

        return origin;
    }
}
